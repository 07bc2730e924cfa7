"""Arrays of safetensors, npy and npz: whole, or one sentence; objects are never unpickled."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from cell_synergy.core import arrays
from cell_synergy.core.errors import DataError
from tests import broken

READERS: dict[str, Callable[[Path], Any]] = {
    "a.safetensors": lambda path: arrays.read_safetensors(path, "do it again"),
    "a.npz": lambda path: arrays.read_npz(path, "an .npz of numbers", "do it again"),
    "a.npy": lambda path: arrays.read_npy(path, "an .npy of numbers", "do it again"),
}
ARRAY = np.random.default_rng(0).random((30, 40))


def _write(path):
    if path.suffix == ".safetensors":
        save_file({"x": ARRAY}, path)
    elif path.suffix == ".npz":
        np.savez_compressed(path, x=ARRAY)
    else:
        np.save(path, ARRAY)


@pytest.mark.parametrize("name", READERS)
def test_a_whole_file_is_read(tmp_path, name):
    _write(tmp_path / name)
    found = READERS[name](tmp_path / name)
    np.testing.assert_array_equal(found if name.endswith("npy") else found["x"], ARRAY)


@pytest.mark.parametrize("name", READERS)
@broken.each(broken.COMMON, broken.OTHERS)
def test_a_file_of_another_format_is_named_with_a_remedy(tmp_path, name, given, said):
    (tmp_path / name).write_bytes(given)
    with pytest.raises(DataError, match=rf"{name}: (is|cannot be read as) .*; .+") as raised:
        READERS[name](tmp_path / name)
    assert "\n" not in str(raised.value)
    assert said


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_is_cut_short_is_told_to_be(tmp_path, name, share):
    _write(path := tmp_path / name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=rf"{name}: is cut short or damaged \(.+\); do it again$"):
        READERS[name](path)


def test_a_damaged_member_is_told(tmp_path):
    _write(path := tmp_path / "a.npz")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 255
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"a\.npz: is cut short or damaged"):
        READERS["a.npz"](path)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_objects_are_never_unpickled(tmp_path, name):
    bomb, marker = broken.bomb(tmp_path)
    save = np.save if name == "a.npy" else np.savez
    save(tmp_path / name, np.array([bomb], dtype=object))
    with pytest.raises(DataError, match=rf"{name}: holds objects of Python, which are code"):
        READERS[name](tmp_path / name)
    assert not marker.exists()


@pytest.mark.parametrize("name", READERS)
def test_a_plain_pickle_is_not_run(tmp_path, name):
    (tmp_path / name).write_bytes(broken.pickled(tmp_path))
    with pytest.raises(DataError, match=rf"{name}: is a Python pickle, not"):
        READERS[name](tmp_path / name)
    assert not (tmp_path / "boom").exists()


def test_a_header_that_asks_for_too_much_is_told(tmp_path):
    np.lib.format.write_array_header_1_0(
        head := io.BytesIO(), {"descr": "<f8", "fortran_order": False, "shape": (10**15,)}
    )
    (tmp_path / "a.npy").write_bytes(head.getvalue())
    with pytest.raises(DataError, match=r"a\.npy: (is larger than memory|is cut short or damaged)"):
        READERS["a.npy"](tmp_path / "a.npy")


def test_a_zip_of_other_things_is_not_called_damaged(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("notes.txt", "1")
    with pytest.raises(
        DataError, match=r"a\.npz: is a zip file with notes\.txt, which is no array"
    ):
        READERS["a.npz"](tmp_path / "a.npz")
