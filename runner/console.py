"""Messages on standard error, and arguments, that several commands share."""

import argparse
import os
import sys
from datetime import timedelta
from pathlib import Path

from dvc.exceptions import NotDvcRepoError
from dvc.rwlock import RWLockFileCorruptedError
from dvc.scm import NoSCMError
from dvc.utils.serialize import ParseError

INTERRUPTED = 130  # exit code, by the shells' convention: 128 plus the number of SIGINT
_TAIL_LINES = 15  # of a failed stage's log


def echo(text: str) -> None:
    """Print to standard error."""
    print(text, file=sys.stderr, flush=True)


def describe(error: Exception) -> str:
    """Return the message of an error, with a remedy if DVC's own message lacks one."""
    if isinstance(error, NotDvcRepoError):
        return f"{Path.cwd()} is not in the repository; run this from the root of the repository"
    if isinstance(error, NoSCMError) or "is not a git repository" in str(error):
        return (
            f"{error}, so this folder was downloaded as an archive: `git init` here, which is "
            "enough for `dvc pull` and `python -m runner.local`, or `git clone` the repository"
        )
    if isinstance(error, ParseError):
        mark = getattr(error.__cause__, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        return f"{error.path}{line}: {error}; correct it, or `git checkout {error.path}`"
    if isinstance(error, RWLockFileCorruptedError):
        return f"{error}; remove it when no other command of DVC runs here"
    return str(error)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # macOS has none
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def positive_int(text: str) -> int:
    """Parse a command-line argument that has to be a whole number of 1 or more.

    Raises
    ------
    argparse.ArgumentTypeError
        If the text is no whole number of 1 or more; argparse puts the argument's name before the
        message.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


def format_duration(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))


def tail(log: Path) -> str:
    """Return the last 15 lines of a log, indented, or `(no log)` if the file is missing.

    Only the last state of a progress bar, which overwrites its line, is returned.
    """
    if not log.is_file():
        return "    (no log)"
    lines = log.read_bytes().decode("utf-8", "replace").rstrip().split("\n")
    return "\n".join(f"    {line.rstrip().rpartition(chr(13))[2]}" for line in lines[-_TAIL_LINES:])
