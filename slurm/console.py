"""What both executors tell the user."""

import os
import sys
from datetime import timedelta
from pathlib import Path

from dvc.exceptions import NotDvcRepoError
from dvc.scm import NoSCMError

TAIL = 15  # lines of a failed stage's log that are shown


def say(text: str) -> None:
    """Print to standard error."""
    print(text, file=sys.stderr, flush=True)


def explained(error: Exception) -> str:
    """Return what an error says, with a remedy where DVC names none that helps."""
    if isinstance(error, NotDvcRepoError):
        return f"{Path.cwd()} is not in the repository; run this from the root of the repository"
    if isinstance(error, NoSCMError) or "is not a git repository" in str(error):
        return (
            f"{error}, so this folder was downloaded as an archive: `git init` here, which is "
            "enough for `dvc pull` and `python -m slurm.local`, or `git clone` the repository"
        )
    return str(error)


def cores_here() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # macOS has none
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def clock(seconds: float) -> str:
    """Write a time as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))


def tail(log: Path) -> str:
    """Return the last lines of a log, indented; of a progress bar, what it shows in the end."""
    if not log.is_file():
        return "    (no log)"
    lines = log.read_bytes().decode("utf-8", "replace").rstrip().split("\n")
    return "\n".join(f"    {line.rstrip().rpartition(chr(13))[2]}" for line in lines[-TAIL:])
