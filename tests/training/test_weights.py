"""Weights on disk: half precision, and errors that say what to do."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from cell_synergy.core.errors import DataError
from cell_synergy.training import weights
from tests import broken

INPUTS = "64 principal axes of 944 + 64 features"


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "matrix": rng.standard_normal((5, 3)).astype(np.float32),
        "columns": np.asfortranarray(rng.standard_normal((4, 6))),
        "batches": np.array(7, dtype=np.int64),
    }


def test_weights_come_back_as_half_precision_has_them(tmp_path, arrays):
    weights.save(tmp_path, "holdout-3", arrays, INPUTS)
    read = weights.load(tmp_path, "holdout", 3, INPUTS)
    assert read.keys() == arrays.keys()
    for name in ("matrix", "columns"):
        assert read[name].dtype == np.float32
        np.testing.assert_array_equal(read[name], arrays[name].astype(np.float16))
    assert read["batches"].dtype == np.int64
    assert read["batches"].shape == ()
    assert read["batches"] == 7


def test_a_method_without_weights_has_a_file_all_the_same(tmp_path):
    weights.save(tmp_path, "holdout-0", {}, INPUTS)
    assert weights.load(tmp_path, "holdout", 0, INPUTS) == {}
    assert weights.seeds(tmp_path, "holdout") == [0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e6])
def test_weights_that_half_precision_cannot_hold_are_refused_by_name(tmp_path, arrays, bad):
    arrays["matrix"][0, 0] = bad
    with pytest.raises(DataError, match=r"\['matrix'\] are not finite in half precision"):
        weights.save(tmp_path, "holdout-0", arrays, INPUTS)
    assert not list(tmp_path.iterdir())


def test_missing_weights_say_how_to_get_them(tmp_path, arrays):
    weights.save(tmp_path, "holdout-0", arrays, INPUTS)
    with pytest.raises(DataError, match=r"holdout-1\.safetensors: no such file; run `dvc repro"):
        weights.load(tmp_path, "holdout", 1, INPUTS)
    with pytest.raises(DataError, match="no weights for fold 'B'; run `dvc repro align`"):
        weights.seeds(tmp_path, "B")


def test_seeds_are_those_of_the_fold_alone(tmp_path, arrays):
    for fold, seed in (("A", 2), ("A", 10), ("A-1", 5), ("B[1]", 0)):
        weights.save(tmp_path, f"{fold}-{seed}", arrays, INPUTS)
    assert weights.seeds(tmp_path, "A") == [2, 10]
    assert weights.seeds(tmp_path, "A-1") == [5]
    assert weights.seeds(tmp_path, "B[1]") == [0]


@broken.each(broken.COMMON, broken.OTHERS)
def test_weights_that_are_something_else_are_named(tmp_path, given, said):
    (tmp_path / "holdout-0.safetensors").write_bytes(given)
    with pytest.raises(DataError, match=r"holdout-0\.safetensors: (is|cannot be read as) .*; .+"):
        weights.load(tmp_path, "holdout", 0, INPUTS)
    assert said


def test_weights_of_another_method_are_named(tmp_path, arrays):
    weights.save(tmp_path, "holdout-0", arrays, INPUTS)
    with pytest.raises(DataError, match=r"holdout-0\.safetensors: has no 'axes', so these are"):
        weights.load(tmp_path, "holdout", 0, INPUTS)["axes"]


def test_weights_that_are_not_finite_are_refused(tmp_path):
    save_file({"a": np.array([1, np.nan], np.float16)}, tmp_path / "holdout-0.safetensors")
    with pytest.raises(DataError, match=r"holdout-0\.safetensors: a is not finite; run `dvc"):
        weights.load(tmp_path, "holdout", 0, INPUTS)


@pytest.mark.parametrize("given", [{"metadata": {"inputs": "all features"}}, {}])
def test_weights_of_other_or_unnamed_inputs_are_refused_although_they_fit_in_shape(tmp_path, given):
    save_file({"a": np.ones(3, np.float16)}, tmp_path / "holdout-0.safetensors", **given)
    said = "all features" if given else "inputs that the file does not name"
    message = rf"0\.safetensors: fitted on {said}, not on 64 .*; give the same align\.axes"
    with pytest.raises(DataError, match=message):
        weights.load(tmp_path, "holdout", 0, INPUTS)
