import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cell_synergy.core import device
from cell_synergy.core.errors import DataError

THREADS = """
import sys
import numpy
from threadpoolctl import threadpool_info
from cell_synergy.core.device import use_threads

def check(count):
    import torch
    assert torch.get_num_threads() == count, torch.get_num_threads()
    assert {pool["num_threads"] for pool in threadpool_info()} == {count}, threadpool_info()

use_threads(2)
assert "torch" not in sys.modules
check(2)
use_threads(1)
check(1)
"""


def test_threads_reach_every_library_and_torch_before_and_after_its_import():
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "2"}
    environment.pop("MKL_NUM_THREADS", None)  # torch heeds it more than OpenMP's
    command = [sys.executable, "-c", THREADS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_device_is_the_gpu_where_there_is_one():
    assert (device.device().type == "cuda") == torch.cuda.is_available()


def test_scratch_is_the_users_own_or_as_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path))
    assert device.scratch() == tmp_path
    monkeypatch.delenv("CELL_SYNERGY_SCRATCH")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert device.scratch() == Path(tmp_path) / f"cell-synergy-{os.getuid()}"
    assert device.scratch().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["link", "file", "another user's"])
def test_a_scratch_folder_that_is_not_ones_own_is_refused(monkeypatch, tmp_path, kind):
    monkeypatch.delenv("CELL_SYNERGY_SCRATCH", raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    uid = os.getuid() + (kind == "another user's")
    monkeypatch.setattr("os.getuid", lambda: uid)
    place = tmp_path / f"cell-synergy-{uid}"
    if kind == "link":
        place.symlink_to(tmp_path)
    elif kind == "file":
        place.touch()
    else:
        place.mkdir()
    with pytest.raises(DataError, match=r"is not a folder of your own; set CELL_SYNERGY_SCRATCH"):
        device.scratch()


def test_a_scratch_folder_that_cannot_be_made_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path / "file" / "x"))
    with pytest.raises(DataError, match=r"file/x: checkpoints cannot be kept there \(not a dir"):
        device.scratch()
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"file: checkpoints cannot be kept there \(file exists\)"):
        device.scratch()
    monkeypatch.delenv("CELL_SYNERGY_SCRATCH")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    with pytest.raises(DataError, match="checkpoints cannot be kept there"):
        device.scratch()
