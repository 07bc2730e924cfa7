"""What a file is, whatever its name; one sentence with the remedy for each."""

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError
from tests import broken


def _kind(path, data):
    path.write_bytes(data)
    return filetypes.detect_format(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pointer", filetypes.POINTER), ("page", filetypes.PAGE),
        ("page with a mark", filetypes.PAGE),
        ("xhtml", filetypes.PAGE), ("denied", filetypes.SERVER), ("not found", filetypes.SERVER),
        ("empty", filetypes.EMPTY), ("gzip", filetypes.GZIP), ("pdf", "PDF"),
        ("hdf5", filetypes.HDF5),
        ("text", filetypes.TEXT), ("zip", filetypes.ZIP), ("tar", filetypes.TAR),
        ("noise", filetypes.UNKNOWN),
    ],
)  # fmt: skip
def test_a_file_is_known_by_its_first_bytes(tmp_path, name, expected):
    table = {**broken.COMMON, **broken.OTHERS}
    assert _kind(tmp_path / "model.safetensors", table[name][0]) == expected


def test_real_writers_are_known_whatever_the_name(tmp_path):
    state = {"a": torch.zeros(2)}
    save_file(state, path := tmp_path / "w.bin")
    assert filetypes.detect_format(path) == filetypes.SAFETENSORS
    torch.save(state, path)
    assert filetypes.detect_format(path) == filetypes.ZIP
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert filetypes.detect_format(path) == filetypes.PICKLE
    with path.open("wb") as file:
        np.save(file, np.zeros(2))
    assert filetypes.detect_format(path) == filetypes.NPY
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(2))
    assert filetypes.detect_format(path) == filetypes.ZIP
    with h5py.File(path, "w"):
        pass
    assert filetypes.detect_format(path) == filetypes.HDF5
    assert filetypes.detect_format(tmp_path) == filetypes.FOLDER


@pytest.mark.parametrize("data", [b"{}", b'["A", "B"]', "Gène\n".encode(), b"<svg/>", b"a\x0cb"])
def test_text_is_no_web_page(tmp_path, data):
    assert _kind(tmp_path / "x", data) == filetypes.TEXT


@broken.each(broken.COMMON)
def test_files_that_every_loader_refuses_are_named_with_a_remedy(tmp_path, given, said):
    (path := tmp_path / "w.bin").write_bytes(given)
    with pytest.raises(DataError, match=rf"w\.bin: {said}"):
        filetypes.require_readable(path, "an image", "set the key")


def test_a_folder_and_nothing_are_named(tmp_path):
    with pytest.raises(DataError, match="is a folder, not an image; set the key"):
        filetypes.require_readable(tmp_path, "an image", "set the key")
    with pytest.raises(DataError, match="nowhere: no such file; set the key"):
        filetypes.require_readable(tmp_path / "nowhere", "an image", "set the key")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(path := tmp_path / "w")
    for device in (path, Path("/dev/null")):
        with pytest.raises(DataError, match=f"{device}: is a pipe or a device, not a file; save"):
            filetypes.require_readable(device, "an image", "set the key")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    (path := tmp_path / "w").write_bytes(b"1")
    path.chmod(0)
    with pytest.raises(DataError, match=r"cannot be read \(permission denied\); set the key"):
        filetypes.require_readable(path, "an image", "set the key")


def test_a_loop_of_links_is_named(tmp_path):
    (path := tmp_path / "w").symlink_to(path)
    with pytest.raises(DataError, match=r"cannot be read \(too many levels of symbolic links\)"):
        filetypes.require_readable(path, "an image", "set the key")


def test_json_of_another_kind_is_named(tmp_path):
    (path := tmp_path / "card.json").write_text("[1]")
    with pytest.raises(DataError, match="holds no JSON object, so it is not a card; do it again"):
        filetypes.read_json(path, "a card", "do it again")
    path.write_text('{"a": ')
    with pytest.raises(
        DataError, match=r"cannot be read as a card \(Expecting value.*; do it again"
    ):
        filetypes.read_json(path, "a card", "do it again")
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(DataError, match="a card"):
        filetypes.read_json(path, "a card", "do it again")
    path.write_text(json.dumps({"a": 1}))
    assert filetypes.read_json(path, "a card", "do it again") == {"a": 1}
