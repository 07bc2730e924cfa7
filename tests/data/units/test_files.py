import os
import subprocess
import sys

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cell_synergy.data.units import files


def _table():
    names = ["a1", "β2", "c_3", "d4"]
    return ad.AnnData(
        sparse.csr_matrix(np.array([[0, 1, 0], [2, 0, 0], [0, 0, 0], [0, 3, 4]], np.float32)),
        obs=pd.DataFrame(
            {
                "kind": pd.Categorical(["x", None, "ü", "x"]),
                "word": ["", "µm", "b", "c"],
                "number": [1, 2, 3, 4],
                "share": [0.5, np.nan, 1.0, 0.0],
                "flag": [True, False, True, True],
            },
            index=names,
        ),
        var=pd.DataFrame({"panel": [True, False, False]}, index=["ACTB", "GAPDH", "é"]),
        obsm={
            "spatial": np.arange(8.0).reshape(4, 2),
            "ratio": pd.DataFrame({"T": [0.1, 0.2, np.nan, 1.0]}, index=names),
        },
        uns={"source": "Ö", "mpp": {"A1": 0.5}, "empty": {}, "none": None, "on": True,
             "states": {"niche": np.array(["nuclei", "ü"], dtype=object)}},
    )  # fmt: skip


def test_a_table_is_read_back_equal(tmp_path):
    files.write(tmp_path / "t.h5ad", _table())
    found, expected = ad.read_h5ad(tmp_path / "t.h5ad"), _table()
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    pd.testing.assert_frame_equal(found.var, expected.var)
    assert isinstance(found.X, sparse.csr_matrix)
    assert found.X.dtype == np.float32
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    np.testing.assert_array_equal(found.obsm["spatial"], expected.obsm["spatial"])
    pd.testing.assert_frame_equal(found.obsm["ratio"], expected.obsm["ratio"])
    states = found.uns.pop("states")["niche"], expected.uns.pop("states")["niche"]
    assert states[0].tolist() == states[1].tolist()
    assert dict(found.uns) == dict(expected.uns)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_numbers_keep_their_kind(tmp_path, dtype):
    x = np.linspace(-100, 100, 300).reshape(100, 3).astype(dtype)
    files.write(tmp_path / "t.h5ad", ad.AnnData(x))
    found = ad.read_h5ad(tmp_path / "t.h5ad").X
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, x)


def test_a_table_without_units_is_read_back(tmp_path):
    files.write(tmp_path / "t.h5ad", _table()[:0].copy())
    assert ad.read_h5ad(tmp_path / "t.h5ad").shape == (0, 3)


PROGRAM = """
import runpy, sys
from pathlib import Path
test = runpy.run_path(sys.argv[1])
test["files"].write(Path(sys.argv[2]), test["_table"]())
"""


def test_two_processes_write_the_same_bytes(tmp_path):
    other, own, again = (tmp_path / name / "t.h5ad" for name in ("other", "own", "again"))
    subprocess.run(
        [sys.executable, "-c", PROGRAM, __file__, str(other)],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        check=True,
    )
    files.write(own, _table())
    files.write(again, ad.read_h5ad(own))
    assert other.read_bytes() == own.read_bytes() == again.read_bytes()


def test_names_are_compressed(tmp_path):
    names = pd.DataFrame(index=[f"section_A_unit_{i:06d}" for i in range(5000)])
    files.write(tmp_path / "t.h5ad", ad.AnnData(np.zeros((5000, 1), np.float32), obs=names))
    assert (tmp_path / "t.h5ad").stat().st_size < 5000 * len(names.index[0]) / 4
    with h5py.File(tmp_path / "t.h5ad") as file:
        assert file["obs/_index"].compression == "gzip"


def test_a_table_that_cannot_be_written_leaves_the_old_file(tmp_path):
    target = tmp_path / "t.h5ad"
    files.write(target, _table())
    before = target.read_bytes()
    broken = _table()
    broken.uns["thing"] = object()
    with pytest.raises(Exception, match="object"):
        files.write(target, broken)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["t.h5ad"]
