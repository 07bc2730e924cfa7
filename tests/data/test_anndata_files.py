import os
import subprocess
import sys

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.data import anndata_files


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
    anndata_files.write(tmp_path / "t.h5ad", _table())
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
def test_arrays_keep_their_dtype(tmp_path, dtype):
    x = np.linspace(-100, 100, 300).reshape(100, 3).astype(dtype)
    anndata_files.write(tmp_path / "t.h5ad", ad.AnnData(x))
    found = ad.read_h5ad(tmp_path / "t.h5ad").X
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, x)


def test_a_table_without_units_is_read_back(tmp_path):
    anndata_files.write(tmp_path / "t.h5ad", _table()[:0].copy())
    assert ad.read_h5ad(tmp_path / "t.h5ad").shape == (0, 3)


PROGRAM = """
import runpy, sys
from pathlib import Path
test = runpy.run_path(sys.argv[1])
test["anndata_files"].write(Path(sys.argv[2]), test["_table"]())
"""


def test_two_processes_write_the_same_bytes(tmp_path):
    other, own, again = (tmp_path / name / "t.h5ad" for name in ("other", "own", "again"))
    subprocess.run(
        [sys.executable, "-c", PROGRAM, __file__, str(other)],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        check=True,
    )
    anndata_files.write(own, _table())
    anndata_files.write(again, ad.read_h5ad(own))
    assert other.read_bytes() == own.read_bytes() == again.read_bytes()


def test_names_of_observations_are_stored_compressed(tmp_path):
    names = pd.DataFrame(index=[f"section_A_unit_{i:06d}" for i in range(5000)])
    anndata_files.write(tmp_path / "t.h5ad", ad.AnnData(np.zeros((5000, 1), np.float32), obs=names))
    assert (tmp_path / "t.h5ad").stat().st_size < 5000 * len(names.index[0]) / 4
    with h5py.File(tmp_path / "t.h5ad") as file:
        assert file["obs/_index"].compression == "gzip"


def test_a_table_that_cannot_be_written_leaves_the_old_file(tmp_path):
    target = tmp_path / "t.h5ad"
    anndata_files.write(target, _table())
    before = target.read_bytes()
    broken = _table()
    broken.uns["thing"] = object()
    with pytest.raises(Exception, match="object"):
        anndata_files.write(target, broken)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["t.h5ad"]


def _changed(path, place, attribute, value):
    """Write a table whose `place` claims to be encoded in another way."""
    _table().write_h5ad(path)
    with h5py.File(path, "a") as file:
        file[place].attrs[attribute] = value


@pytest.mark.parametrize(
    ("place", "attribute"),
    [
        ("/", "encoding-version"),
        ("/", "encoding-type"),
        ("obs", "encoding-version"),
        ("obs/kind", "encoding-type"),
        ("var/panel", "encoding-type"),
        ("uns/mpp/A1", "encoding-type"),
        ("uns/states", "encoding-version"),
        ("obsm/spatial", "encoding-type"),
        ("obsm/ratio", "encoding-version"),
        ("X", "encoding-version"),
    ],
)
def test_a_file_of_a_newer_anndata_is_refused_with_the_way_out(tmp_path, place, attribute):
    path = tmp_path / "t.h5ad"
    _changed(path, place, attribute, "99.0")
    with pytest.raises(DataError) as caught:
        anndata_files.read(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: written by a newer anndata than ")
    assert "99.0" in told
    assert f" in {place};" in told or place == "/"
    assert "`pip install -U anndata`" in told
    assert "\n" not in told


CONTENTS = {
    b"": "is empty; get it again",
    b"version https://git-lfs.github.com/spec/v1\nsize 9\n": "is a pointer of Git LFS",
    b"<!DOCTYPE html><html><body>Sign in</body></html>": "is a web page, not an .h5ad file",
    b"\n<HTML><head>": "is a web page, not an .h5ad file",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>': "is a server's error message",
    b"\x1f\x8b\x08\x00": "is a gzip file, not an .h5ad file; fetch it again",
    b"PK\x03\x04\x14": "is a zip file, not an .h5ad file; fetch it again",
    b"gene,cell\n1,2\n": "is text, not an .h5ad file; fetch it again",
    b"\x89HDF": "is text, not an .h5ad file; fetch it again",
}


@pytest.mark.parametrize(("content", "message"), CONTENTS.items())
def test_a_file_that_is_no_h5ad_is_named_by_its_format(tmp_path, content, message):
    path = tmp_path / "t.h5ad"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        anndata_files.read(path, "fetch it again")
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("part", [100, 2000, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, part):
    path = tmp_path / "t.h5ad"
    _table().write_h5ad(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: part if part > 1 else int(part * len(whole))])
    with pytest.raises(DataError, match=r"t\.h5ad: a broken \.h5ad file \(.*truncated.*fetch it"):
        anndata_files.read(path, "fetch it again")


@pytest.mark.parametrize("gone", ["obs/kind", "obs/_index", "obs/kind/codes", "X/data"])
def test_a_file_without_one_of_its_parts_is_refused(tmp_path, gone):
    path = tmp_path / "t.h5ad"
    _table().write_h5ad(path)
    with h5py.File(path, "a") as file:
        del file[gone]
    with pytest.raises(DataError, match=r"t\.h5ad: a broken \.h5ad file .*; write it again"):
        anndata_files.read(path)


def test_an_hdf5_file_of_somebody_else_is_told_by_what_it_holds(tmp_path):
    with h5py.File(tmp_path / "matrix.h5", "w") as file:
        file.create_group("matrix")
    with pytest.raises(DataError, match=r"matrix\.h5: an HDF5 file but no \.h5ad: it holds matrix"):
        anndata_files.read(tmp_path / "matrix.h5")


def test_a_folder_and_nothing_at_all_are_no_h5ad(tmp_path):
    with pytest.raises(DataError, match=r"is a folder, not an \.h5ad file"):
        anndata_files.read(tmp_path)
    with pytest.raises(DataError, match=r"x\.h5ad: no such file"):
        anndata_files.read(tmp_path / "x.h5ad")


def test_a_file_that_is_whole_is_read(tmp_path):
    _table().write_h5ad(tmp_path / "t.h5ad")
    found = anndata_files.read(tmp_path / "t.h5ad")
    pd.testing.assert_frame_equal(found.obs, _table().obs)
    np.testing.assert_array_equal(found.X.toarray(), _table().X.toarray())


def test_a_matrix_that_claims_more_than_any_memory_is_refused_in_a_sentence(tmp_path):
    anndata_files.write(tmp_path / "t.h5ad", _table())
    with h5py.File(tmp_path / "t.h5ad", "r+") as file:
        file["X"].attrs["shape"] = np.array([2**40, 2**40])
    message = r"t\.h5ad: needs more memory than there is .*broken: write it again"
    with pytest.raises(DataError, match=message):
        anndata_files.read(tmp_path / "t.h5ad")
