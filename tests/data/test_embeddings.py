import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.data import embeddings
from cell_synergy.data.embeddings import standardise

UNITS = pd.Index(["a", "b", "c", "d"])
RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, (60, 5)).astype(np.float32)
GROUPS = np.repeat(["A", "B", "C"], 20)
FIT = GROUPS != "C"


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "pca.h5ad"
    embeddings.write(path, X[:4], UNITS, {"encoder": "pca", "dimension": 5})
    return path


def test_an_embedding_is_kept_in_half_precision_with_its_card(written):
    table = ad.read_h5ad(written)
    assert table.X.dtype == np.float16
    assert dict(table.uns["encoder"]) == {"encoder": "pca", "dimension": 5}
    found = embeddings.read(written, UNITS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, X[:4].astype(np.float16).astype(np.float32))
    assert (np.abs(found - X[:4]) <= 2.0**-11 * np.abs(X[:4])).all()


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (["a", "b", "c"], "has 4 rows, the pairs have 3"),
        (["a", "b", "c", "d", "e"], "has 4 rows, the pairs have 5"),
        (["a", "c", "b", "d"], "row 1 is 'b', the pairs have 'c'"),
        (["a", "b", "c", "D"], "row 3 is 'd', the pairs have 'D'"),
    ],
)
def test_rows_that_are_not_the_pairs_are_refused(written, expected, message):
    with pytest.raises(DataError, match=rf"pca\.h5ad: {message}; embed these pairs again"):
        embeddings.read(written, pd.Index(expected))


def test_the_card_names_the_expert(written, tmp_path):
    assert embeddings.read_card(written) == {"encoder": "pca", "dimension": 5}
    nameless = tmp_path / "nameless.h5ad"
    embeddings.write(nameless, X[:4], UNITS, {"dimension": 5})
    with pytest.raises(DataError, match=r"nameless\.h5ad: .* does not name the expert; embed"):
        embeddings.read_card(nameless)
    with pytest.raises(DataError, match=r"gone\.h5ad: no such embedding"):
        embeddings.read_card(tmp_path / "gone.h5ad")


def test_an_embedding_that_is_not_there_is_named_with_the_remedy(tmp_path):
    with pytest.raises(DataError, match=r"pca\.h5ad: no such embedding; name the data set"):
        embeddings.read(tmp_path / "pca.h5ad", UNITS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 65520.0, -1e6])
def test_values_that_half_precision_cannot_hold_are_refused_and_not_written(tmp_path, value):
    x = X[:4].copy()
    x[1:3, 2] = value
    with pytest.raises(DataError, match=r"pca\.h5ad: .*not finite.* 2 observations, first 'b'"):
        embeddings.write(tmp_path / "pca.h5ad", x, UNITS, {})
    assert not list(tmp_path.iterdir())


def test_train_mode_is_the_training_units_mean_and_deviation():
    found = standardise(X, FIT, GROUPS, "train")
    np.testing.assert_allclose(found, (X - X[FIT].mean(0)) / X[FIT].std(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[FIT].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(found[FIT].std(0), 1, atol=1e-6)


def test_no_test_unit_influences_train_mode():
    other = X.copy()
    other[~FIT] = RNG.normal(-50, 400, (20, 5)).astype(np.float32)
    before, after = (standardise(x, FIT, GROUPS, "train") for x in (X, other))
    np.testing.assert_array_equal(before[FIT], after[FIT])
    # the same affine map is applied to the changed rows, too
    expected = (other[~FIT] - X[FIT].mean(0)) / X[FIT].std(0)
    np.testing.assert_allclose(after[~FIT], expected, rtol=1e-4)


def test_donor_mode_is_each_donors_own_mean_and_deviation():
    found = standardise(X, FIT, GROUPS, "donor")
    for donor in "ABC":
        own = X[donor == GROUPS]
        expected = (own - own.mean(0)) / own.std(0)
        np.testing.assert_allclose(found[donor == GROUPS], expected, rtol=1e-4, atol=1e-5)


def test_donor_mode_removes_a_shift_and_scale_of_one_donor_and_ignores_the_fold():
    shifted = X.copy()
    shifted[GROUPS == "B"] = shifted[GROUPS == "B"] * 7 + 100
    found = standardise(shifted, FIT, GROUPS, "donor")
    np.testing.assert_allclose(found, standardise(X, ~FIT, GROUPS, "donor"), atol=1e-4)


def test_rows_in_another_order_are_standardised_alike():
    order = RNG.permutation(60)
    for mode in ("train", "donor"):
        found = standardise(X[order], FIT[order], GROUPS[order], mode)
        expected = standardise(X, FIT, GROUPS, mode)[order]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["train", "donor"])
@pytest.mark.parametrize("constant", [0.0, 5.0, -3e4])
def test_a_feature_without_variation_becomes_zero(mode, constant):
    x = X.copy()
    x[:, 1] = constant
    found = standardise(x, FIT, GROUPS, mode)
    assert (found[:, 1] == 0).all()
    others = [0, 2, 3, 4]
    np.testing.assert_array_equal(found[:, others], standardise(X, FIT, GROUPS, mode)[:, others])


def test_a_feature_that_varies_in_test_units_alone_becomes_zero_in_train_mode():
    x = X.copy()
    x[FIT, 1] = 2.0
    assert (standardise(x, FIT, GROUPS, "train")[:, 1] == 0).all()


def test_a_donor_of_one_unit_becomes_zero_in_donor_mode():
    groups = GROUPS.copy()
    groups[0] = "alone"
    assert (standardise(X, FIT, groups, "donor")[0] == 0).all()


def test_small_but_real_variation_is_kept():
    x = (X * 1e-4).astype(np.float32)
    found = standardise(x, FIT, GROUPS, "train")
    np.testing.assert_allclose(found, standardise(X, FIT, GROUPS, "train"), rtol=1e-3, atol=1e-4)
