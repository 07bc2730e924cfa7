"""Unfinished work stands in a folder of the user's own, under a hash of all that it depends on."""

import os
from pathlib import Path

import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.core.resume import scratch
from cell_synergy.core.resume.scratch import run_hash, scratch_folder


def test_scratch_is_the_users_own_or_as_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path))
    assert scratch_folder() == tmp_path
    monkeypatch.delenv("CELL_SYNERGY_SCRATCH")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert scratch_folder() == Path(tmp_path) / f"cell-synergy-{os.getuid()}"
    assert scratch_folder().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["link", "file", "another user's"])
def test_a_scratch_folder_that_is_not_ones_own_is_refused(monkeypatch, tmp_path, kind):
    monkeypatch.delenv("CELL_SYNERGY_SCRATCH", raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    uid = os.getuid() + (kind == "another user's")
    monkeypatch.setattr("os.getuid", lambda: uid)
    folder = tmp_path / f"cell-synergy-{uid}"
    if kind == "link":
        folder.symlink_to(tmp_path)
    elif kind == "file":
        folder.touch()
    else:
        folder.mkdir()
    with pytest.raises(DataError, match=r"is not a folder of your own; set CELL_SYNERGY_SCRATCH"):
        scratch_folder()


def test_a_scratch_folder_that_cannot_be_made_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path / "file" / "x"))
    with pytest.raises(DataError, match=r"file/x: checkpoints cannot be kept there \(not a dir"):
        scratch_folder()
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"file: checkpoints cannot be kept there \(file exists\)"):
        scratch_folder()
    monkeypatch.delenv("CELL_SYNERGY_SCRATCH")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    with pytest.raises(DataError, match="checkpoints cannot be kept there"):
        scratch_folder()


def test_the_hash_is_of_code_settings_inputs_and_threads(monkeypatch, tmp_path):
    (tmp_path / "weights").mkdir()
    for name in ("pairs.h5ad", "weights/A-0"):
        (tmp_path / name).write_text("1")
    array = np.arange(3)

    def run(lr=0.1):
        files = [tmp_path / "pairs.h5ad", tmp_path / "weights"]
        return run_hash("simclr", {"lr": lr}, files=files, arrays=[array.tobytes()])

    seen = {run()}
    assert run() in seen

    def changed():
        before = len(seen)
        seen.add(run())
        return len(seen) == before + 1

    assert run(0.2) not in seen
    (tmp_path / "weights/A-0").write_text("2")
    assert changed()
    array[0] = 5
    assert changed()
    (tmp_path / "code.py").write_text("other")
    monkeypatch.setattr(scratch, "__file__", str(tmp_path / "code.py"))
    assert changed()
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert changed()
