import anndata as ad
import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy import sparse
from sklearn.decomposition import PCA

from cell_synergy import encoders
from cell_synergy.core.errors import DataError
from tests import broken

COMPONENTS = 3


def _expert(**changes):
    settings = {"components": COMPONENTS, "target_sum": 1e4, "least_share": 0.01}
    return encoders.load("pca", {**settings, **changes})


def _embedded(reference, pairs, folder, **changes):
    folder.mkdir(exist_ok=True)
    expert = _expert(**changes)
    expert.freeze(reference, folder)
    return expert.embed(pairs, folder, folder)


def _normalised(pairs):
    visible = pairs.X.toarray().astype(np.float64)[:, ~pairs.var["panel"].to_numpy(bool)]
    return np.log1p(visible / visible.sum(axis=1, keepdims=True) * 1e4)


@pytest.mark.parametrize(("count", "genes"), [(200, 30), (30, 200), (50, 55), (50, 50)])
def test_axes_are_those_of_scikit_learn_up_to_signs(units, tmp_path, count, genes):
    reference, pairs = units(count, genes, panel=5), units(20, genes, panel=5, seed=1)
    embedding = _embedded(reference, pairs, tmp_path)
    peer = PCA(COMPONENTS, svd_solver="full").fit(_normalised(reference))
    expected = peer.transform(_normalised(pairs))
    axes = load_file(tmp_path / "pca.safetensors")["axes"]
    signs = np.sign((axes * peer.components_).sum(axis=1))
    np.testing.assert_allclose(axes, peer.components_ * signs[:, None], atol=2e-5)
    np.testing.assert_allclose(embedding, expected * signs, atol=2e-4)


@pytest.mark.parametrize(("count", "genes"), [(60, 20), (20, 60)])
def test_the_largest_loading_of_every_axis_is_positive(units, tmp_path, count, genes):
    _embedded(units(count, genes), units(5, genes), tmp_path)
    axes = load_file(tmp_path / "pca.safetensors")["axes"]
    assert (axes[np.arange(COMPONENTS), np.abs(axes).argmax(axis=1)] > 0).all()
    np.testing.assert_allclose(axes @ axes.T, np.eye(COMPONENTS), atol=1e-6)


def test_embedding_does_not_change_the_frozen_expert(units, tmp_path):
    reference, first, second = units(60, 20), units(10, 20, seed=1), units(30, 20, seed=2)
    alone = _embedded(reference, first, tmp_path)
    before = (tmp_path / "pca.safetensors").read_bytes()
    second.obs_names = "v" + second.obs_names
    both = ad.concat([first, second], merge="same", uns_merge="same")
    embedding = _expert().embed(both, tmp_path, tmp_path)
    np.testing.assert_allclose(embedding[:10], alone, atol=1e-5)
    assert (tmp_path / "pca.safetensors").read_bytes() == before


def test_equal_reference_data_give_equal_bytes(units, tmp_path):
    cards = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        cards.append(_expert().freeze(units(60, 20), tmp_path / name))
    assert cards[0] == cards[1]


@pytest.mark.parametrize("part", ["reference", "study"])
def test_panel_genes_never_enter(units, tmp_path, part):
    def tables():
        return {"reference": units(60, 20, panel=4), "study": units(10, 20, panel=4, seed=1)}

    changed = tables()
    counts = changed[part].X.toarray()
    counts[:, -4:] = np.random.default_rng(0).poisson(500, counts[:, -4:].shape)
    changed[part].X = sparse.csr_matrix(counts)
    before = _embedded(tables()["reference"], tables()["study"], tmp_path / "before")
    after = _embedded(changed["reference"], changed["study"], tmp_path / "after")
    np.testing.assert_array_equal(before, after)
    assert not set(changed[part].var_names[-4:]) & set(
        (tmp_path / "after" / "genes.txt").read_text().split()
    )


def test_rare_genes_are_excluded_but_enter_the_sum(units, tmp_path):
    reference = units(60, 20)
    counts = reference.X.toarray()
    counts[:, 3] = np.eye(60)[0] * 50  # in one observation of 60
    reference.X = sparse.csr_matrix(counts)
    _embedded(reference, reference, tmp_path, least_share=0.02)
    genes = (tmp_path / "genes.txt").read_text().split()
    assert genes == [f"g{i}" for i in range(20) if i != 3]
    mean = load_file(tmp_path / "pca.safetensors")["mean"]
    expected = np.delete(_normalised(reference), 3, axis=1).mean(axis=0)
    np.testing.assert_allclose(mean, expected, rtol=1e-5)


def test_genes_in_another_order_or_further_ones_give_the_same_rows(units, tmp_path):
    reference, pairs = units(60, 20), units(10, 20, seed=1)
    expected = _embedded(reference, pairs, tmp_path)
    extra = ad.AnnData(sparse.csr_matrix(np.zeros((10, 1), np.float32)), obs=pairs.obs[[]])
    extra.var_names = ["new"]
    other = ad.concat([extra, pairs[:, ::-1]], axis=1)
    other.uns, other.var["panel"] = pairs.uns, False
    embedding = _expert().embed(other, tmp_path, tmp_path)
    np.testing.assert_allclose(embedding, expected, atol=1e-4)


@pytest.mark.parametrize("panel", [0, 2])
def test_genes_that_are_missing_or_hidden_are_named(units, tmp_path, panel):
    pairs = units(10, 20, panel=panel)
    _embedded(units(60, 20), units(10, 20), tmp_path)
    incomplete = pairs if panel else pairs[:, :-2].copy()
    message = (
        "2 genes of the expert are missing from the pairs or reserved as panel, first 'g18'; fit"
    )
    with pytest.raises(DataError, match=message):
        _expert().embed(incomplete, tmp_path, tmp_path)


def test_more_components_than_observations_or_genes_are_refused(units, tmp_path):
    for count, genes in ((20, 60), (60, 20)):
        with pytest.raises(DataError, match=r"lab: PCA with 20 components needs more .*\(\d+\)"):
            _expert(components=20).freeze(units(count, genes), tmp_path)


def test_the_card_identifies_the_weights(units, tmp_path):
    card = _expert().freeze(units(60, 20), tmp_path)
    assert card["encoder"] == "pca"
    assert card["state"] == "fitted"
    assert card["dimension"] == COMPONENTS
    assert card["sha256"] == encoders.sha256(tmp_path / "pca.safetensors")
    assert card["genes_sha256"] == encoders.sha256(tmp_path / "genes.txt")


def test_an_observation_without_counts_is_embedded_like_the_origin(units, tmp_path):
    reference, pairs = units(60, 20), units(10, 20, seed=1)
    pairs.X = sparse.csr_matrix(pairs.X.toarray() * (np.arange(10) > 0)[:, None])
    embedding = _embedded(reference, pairs, tmp_path)
    weights = load_file(tmp_path / "pca.safetensors")
    np.testing.assert_allclose(embedding[0], -weights["mean"] @ weights["axes"].T, rtol=1e-5)
    assert np.isfinite(embedding).all()


@broken.each(broken.COMMON, broken.OTHERS)
def test_broken_weights_are_named(units, tmp_path, given, said):
    pairs = units(10, 20, seed=1)
    _embedded(units(60, 20), pairs, tmp_path)
    (tmp_path / "pca.safetensors").write_bytes(given)
    with pytest.raises(DataError, match=r"pca\.safetensors: (is|cannot be read as) ") as raised:
        _expert().embed(pairs, tmp_path, tmp_path)
    assert said
    assert "\n" not in str(raised.value)


def test_weights_of_other_genes_are_refused(units, tmp_path):
    pairs = units(10, 20, seed=1)
    _embedded(units(60, 20), pairs, tmp_path)
    (tmp_path / "genes.txt").write_text("g1\ng2\n")
    with pytest.raises(
        DataError, match=r"pca\.safetensors does not match the 2 genes of genes\.txt"
    ):
        _expert().embed(pairs, tmp_path, tmp_path)


@pytest.mark.parametrize(
    "given", ["", "<html></html>", "[1]", '{"encoder": "pca"}', '{"sha256": 3}']
)
def test_a_broken_card_is_named(tmp_path, given):
    (tmp_path / "card.json").write_text(given)
    with pytest.raises(DataError, match=r"card\.json: .*"):
        encoders.read_card(tmp_path)
    (tmp_path / "card.json").unlink()
    with pytest.raises(DataError, match=r"card\.json: no such file; freeze the expert again"):
        encoders.read_card(tmp_path)
