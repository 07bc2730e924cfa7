import signal
import subprocess
import sys
import threading

import pytest

from cell_synergy.core.files import atomic_write

WRITE = """
import os, signal, sys
from pathlib import Path
from cell_synergy.core.files import atomic_write
with atomic_write(Path(sys.argv[1])) as new:
    new.write_text("half")
    os.kill(os.getpid(), int(sys.argv[2]))
    signal.pause()
"""


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def _killed_by(number, target):
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(target), str(int(number))],
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0


def test_the_file_appears_whole_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "folder" / "a.csv"
    with atomic_write(target) as new:
        new.write_text("content")
        assert not target.exists()
    assert target.read_text() == "content"
    assert _names(target.parent) == ["a.csv"]


def test_the_scratch_path_has_the_targets_name_in_the_targets_folder(tmp_path):
    with atomic_write(tmp_path / "a.npz") as new:
        assert new.name == "a.npz"
        assert new.parent.parent == tmp_path
        new.touch()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_no_debris(tmp_path, error):
    target = tmp_path / "a.csv"
    target.write_text("old")

    def fail():
        with atomic_write(target) as new:
            new.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["a.csv"]


def test_an_error_in_a_first_write_leaves_nothing(tmp_path):
    def fail():
        with atomic_write(tmp_path / "a") as new:
            new.mkdir()
            (new / "x").touch()
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert _names(tmp_path) == []


def test_a_folder_replaces_the_old_folder_whole(tmp_path):
    target = tmp_path / "old"
    for name in ("first", "second"):
        with atomic_write(target) as new:
            new.mkdir()
            (new / name).touch()
    assert _names(target) == ["second"]
    assert _names(tmp_path) == ["old"]


def test_a_block_that_writes_nothing_leaves_the_old_folder(tmp_path):
    target = tmp_path / "weights"
    target.mkdir()
    (target / "a").touch()
    with pytest.raises(FileNotFoundError), atomic_write(target):
        pass
    assert _names(target) == ["a"]
    assert _names(tmp_path) == ["weights"]


def test_an_interrupt_leaves_the_old_file_and_no_debris(tmp_path):
    target = tmp_path / "a.csv"
    target.write_text("old")
    _killed_by(signal.SIGINT, target)
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["a.csv"]


def test_a_kill_leaves_the_old_file_and_the_next_write_no_debris(tmp_path):
    target = tmp_path / "a.csv"
    target.write_text("old")
    _killed_by(signal.SIGKILL, target)
    assert target.read_text() == "old"
    assert all(name == "a.csv" or name.startswith(".a.csv.") for name in _names(tmp_path))
    with atomic_write(target) as new:
        new.write_text("new")
    assert target.read_text() == "new"
    assert _names(tmp_path) == ["a.csv"]


def test_a_write_leaves_the_scratch_of_others_alone(tmp_path):
    target = tmp_path / "a"
    (tmp_path / ".a.csv.abcdefgh").mkdir()
    with atomic_write(target) as new:
        new.write_text("slow")
        other = threading.Thread(target=_write, args=(target, "fast"))
        other.start()
        other.join()
        assert target.read_text() == "fast"
    assert target.read_text() == "slow"
    assert _names(tmp_path) == [".a.csv.abcdefgh", "a"]


def _write(target, text):
    with atomic_write(target) as new:
        new.write_text(text)
