"""How a command ends: in one sentence for what a user can mend, in a traceback for our mistakes."""

import errno
import os
import signal
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from safetensors.numpy import save_file

from cell_synergy.core.errors import (
    ConfigError,
    DataError,
    describe_os_error,
    positional_arguments,
    report_errors,
)
from cell_synergy.core.files import atomic_write

NUMBERS = {
    errno.EACCES: "no right to read or write there",
    errno.EROFS: "this disk is read-only: choose another path",
    errno.ENOSPC: "the disk is full: free some space there",
    errno.EDQUOT: "the quota of this disk is used up",
    errno.EMFILE: "too many files are open: raise the limit, `ulimit -n 4096`",
    errno.EISDIR: "this is a folder, and a file is needed",
    errno.ENOTDIR: "a part of the path is a file",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EIO: "the disk cannot be read or written",
    errno.ESTALE: "the network folder is gone",
    errno.ENOENT: "no such file or folder: check the path",
    errno.EXDEV: "check this file and its disk",
}


@pytest.mark.parametrize(("number", "remedy"), NUMBERS.items())
def test_an_error_of_the_disk_is_a_sentence_with_path_and_remedy(number, remedy):
    with pytest.raises(SystemExit) as caught, report_errors():
        raise OSError(number, os.strerror(number), "data/x.csv")
    told = str(caught.value.code)
    assert told.startswith("error: data/x.csv: ")
    assert remedy in told
    assert os.strerror(number) in told
    assert "\n" not in told


def test_the_number_is_found_in_what_hdf5_says():
    told = "Can't write (file write failed: errno = 28, error message = 'No space left on device')"
    assert describe_os_error(OSError(told)).startswith(
        "the disk is full: free some space there (Can't"
    )
    assert (
        describe_os_error(OSError("truncated file"))
        == "truncated file; check this file and its disk"
    )


@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_disk_that_is_full_is_told_with_the_output_not_with_scratch(tmp_path, place):
    def write():
        with atomic_write(tmp_path / "sis.csv") as new:
            if place == "file":
                raise OSError(errno.ENOSPC, "No space left on device")
            raise OSError(errno.ENOSPC, "No space left on device", str(new / "x"))

    with pytest.raises(SystemExit) as caught, report_errors():
        write()
    assert str(caught.value).startswith(f"error: {tmp_path}/sis.csv: the disk is full")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=["size=256k", "ro"])
def bad_disk(tmp_path, request):
    """A disk that is nearly full, or read-only."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted: {done.stderr.strip()}")
    yield place, "this disk is read-only" if request.param == "ro" else "the disk is full"
    subprocess.run(["umount", "--lazy", str(place)], check=True)


NOISE = np.random.default_rng(0).random((400, 400))
WRITERS = {
    "text": lambda path: path.write_text("x" * 10**6),
    "csv": lambda path: pd.DataFrame(NOISE).to_csv(path),
    "npz": lambda path: np.savez_compressed(path.open("wb"), a=NOISE),
    "torch": lambda path: torch.save({"a": torch.tensor(NOISE)}, path),
    "safetensors": lambda path: save_file({"a": NOISE}, path),
    "hdf5": lambda path: ad.AnnData(NOISE).write_h5ad(path),
    "tiff": lambda path: tifffile.imwrite(path, NOISE),
    "parquet": lambda path: pd.DataFrame(NOISE).rename(columns=str).to_parquet(path),
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=list(WRITERS))
def test_whatever_a_library_says_of_a_full_disk_it_is_a_sentence(bad_disk, writer):
    place, told = bad_disk

    def write():
        with atomic_write(place / "out") as new:
            writer(new)

    with pytest.raises(SystemExit) as caught, report_errors():
        write()
    assert str(caught.value).startswith(f"error: {place}/out: {told}")
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("error", [ConfigError("a is wrong"), DataError("a is wrong")])
def test_errors_of_configuration_and_data_are_one_sentence(error):
    with pytest.raises(SystemExit) as caught, report_errors():
        raise error
    assert caught.value.code == "error: a is wrong"


@pytest.mark.parametrize("error", [TypeError, KeyError, AttributeError, ValueError, RuntimeError])
def test_unexpected_errors_keep_their_traceback(error):
    with pytest.raises(error), report_errors():
        raise error("a mistake")


def test_too_little_memory_is_a_sentence():
    with (
        pytest.raises(SystemExit, match=r"error: not enough memory: .* \(9 GiB\)$"),
        report_errors(),
    ):
        raise MemoryError("9 GiB")


PROGRAM = """
"How to use it."
import sys, time
from cell_synergy.core.errors import report_errors
with report_errors(__doc__, resumes="resumes" in sys.argv, bare=False):
    if "pipe" in sys.argv:
        for _ in range(100000):
            print("line")
    elif "open" in sys.argv:
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
        kept = [open(__import__("os").devnull) for _ in range(100)]
    elif "mistake" in sys.argv:
        None.x
    else:
        print("begun", flush=True)
        time.sleep(60)
"""


def start(tmp_path, *words):
    (tmp_path / "program.py").write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), *words], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("resumes", "what is done is kept, and the same command goes on from there"),
        ("other", "nothing is left half-written, and the same command starts again"),
    ],
)
def test_an_interrupt_is_one_line_and_the_code_is_130(tmp_path, word, told):
    with start(tmp_path, word) as program:
        assert program.stdout.readline() == "begun\n"
        program.send_signal(signal.SIGINT)
        assert program.wait(30) == 130
        assert program.stderr.read() == f"interrupted: {told}\n"


def test_a_reader_that_went_away_is_no_error(tmp_path):
    with start(tmp_path, "pipe") as program:
        program.stdout.readline()
        program.stdout.close()
        assert program.wait(30) == 141
        assert not program.stderr.read()


@pytest.mark.parametrize(("word", "code"), [("--help", 0), ("other", 0)])
def test_a_command_whose_output_was_closed_runs(tmp_path, word, code):
    (tmp_path / "program.py").write_text(PROGRAM.replace("sleep(60)", "sleep(0)"))
    shell = f"{sys.executable} {tmp_path / 'program.py'} {word} >&-"
    done = subprocess.run(["sh", "-c", shell], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (code, b"")


def test_our_own_sentence_of_a_missing_file_stays_as_it_is():
    assert describe_os_error(FileNotFoundError("no scores in x; run `dvc pull`")) == (
        "no scores in x; run `dvc pull`"
    )


def test_too_many_open_files_are_a_sentence(tmp_path):
    out, err = start(tmp_path, "open").communicate(timeout=30)
    assert not out
    assert err == (
        "error: /dev/null: too many files are open: raise the limit, `ulimit -n 4096` "
        "(Too many open files)\n"
    )


def test_help_exits_with_0_and_no_arguments_with_2(tmp_path):
    program = start(tmp_path, "other", "--help")
    assert program.communicate(timeout=30) == ("How to use it.\n", "")
    assert program.returncode == 0
    program = start(tmp_path)
    assert program.communicate(timeout=30) == ("", "How to use it.\n")
    assert program.returncode == 2


def test_an_unexpected_error_of_a_program_keeps_its_traceback(tmp_path):
    program = start(tmp_path, "mistake")
    assert "Traceback" in program.communicate(timeout=30)[1]
    assert program.returncode == 1


def test_an_argument_too_many_is_refused():
    def two(dataset="lung", task="region"):
        return dataset, task

    def many(dataset, *methods):
        return dataset, methods

    assert two(*positional_arguments(two, ["breast"])) == ("breast", "region")
    assert many(*positional_arguments(many, ["a", "b", "c"])) == ("a", ("b", "c"))
    with pytest.raises(
        ConfigError, match=r"^'c': one argument too many; give \[DATASET\] \[TASK\]"
    ):
        positional_arguments(two, ["a", "b", "c"])
