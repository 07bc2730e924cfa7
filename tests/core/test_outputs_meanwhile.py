"""What happens while a command computes or writes loses nothing."""

import signal
import subprocess
import sys

import pytest

from cell_synergy.core import outputs
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.outputs import guarded_outputs, table_output
from tests.core.written import BESIDE, NAMES, content, write_folder, write_table


def test_a_file_that_appears_at_the_output_meanwhile_stays(tmp_path):
    place = table_output("out", str(tmp_path / "sis.csv"), tmp_path, BESIDE)

    def run():
        with guarded_outputs("judge", [place], {}) as new:
            new["out"].write_text("result")
            (tmp_path / "sis.csv").write_text("mine")

    with pytest.raises(ConfigError, match="is there already"):
        run()
    assert content(tmp_path) == {"sis.csv": "mine"}


def test_files_that_enter_a_folder_during_its_check_stay(tmp_path, monkeypatch):
    write_folder(tmp_path / "w", "1\n")
    real, count = outputs._hashes, iter(range(99))

    def late(path, called):
        found = list(real(path, called))
        if called == "w" and next(count) == 3:  # the last look before the folder is moved
            (tmp_path / "w" / "train" / "mine.txt").write_text("mine")
        return iter(found)

    monkeypatch.setattr(outputs, "_hashes", late)
    with pytest.raises(ConfigError, match=r"w holds w/train/mine\.txt, which was added"):
        write_folder(tmp_path / "w", "2\n")
    assert content(tmp_path / "w") == {
        "train": None, "train/a.tsv": "1\n", "train/mine.txt": "mine", "b.safetensors": "1\n",
        "empty": None,
    }  # fmt: skip
    (tmp_path / "w" / "train" / "mine.txt").unlink()
    write_folder(tmp_path / "w", "2\n")
    assert content(tmp_path / "w")["b.safetensors"] == "2\n"


def test_an_error_leaves_what_was_there_and_no_new_folders(tmp_path):
    out = write_table(tmp_path / "old" / "sis.csv")

    def run(path):
        with guarded_outputs("judge", [table_output("out", str(path), path, BESIDE)], {}) as new:
            new["out"].write_text("half")
            raise LookupError

    for path in (out, tmp_path / "new" / "er" / "sis.csv"):
        with pytest.raises(LookupError):
            run(path)
    assert content(tmp_path / "old") == dict.fromkeys(NAMES, "1\n")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


KILLED = """
import os, signal, sys
from pathlib import Path
from cell_synergy.core import outputs
count = int(sys.argv[2])
def counted(self, target, real=Path.replace):
    global count
    count -= 1
    if not count:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, target)
Path.replace = counted
place = outputs.table_output("out", sys.argv[1], Path("x.csv"), ("-scores", ".safetensors"))
with outputs.guarded_outputs("judge", [place], {}) as new:
    for path in outputs.OutputPath("out", new["out"], place.beside).files:
        path.write_text("2\\n")
"""


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("first", [True, False])
def test_killed_at_any_move_the_same_command_runs_again(tmp_path, at, first):
    out = tmp_path / "sis.csv"
    if not first:
        write_table(out)
    done = subprocess.run([sys.executable, "-c", KILLED, str(out), str(at)], check=False)
    assert done.returncode == -signal.SIGKILL
    old = {} if first else dict.fromkeys(NAMES, "1\n")
    whole = {name: old.get(name) for name in NAMES}
    for path in (path for path in tmp_path.iterdir() if path.name in NAMES):
        assert path.read_text() in {"2\n", whole[path.name]}
    write_table(out, "3\n")
    assert content(tmp_path) == dict.fromkeys(NAMES, "3\n")
    assert len(list(tmp_path.iterdir())) == 4
