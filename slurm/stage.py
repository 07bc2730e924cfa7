"""One stage in a process of its own: `dvc --wait-for-lock repro -s STAGE`, quicker."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo

from slurm.lockfile import record


def reproduce(root: Path, name: str, order: Sequence[str], log: Path) -> None:
    """Reproduce a stage as leader of a new process group; the exit code is its command's.

    Parameters
    ----------
    root
        Folder of the DVC repository.
    name
        The stage.
    order
        All stages as a serial `dvc repro` runs them.
    log
        File for all that the stage prints.
    """
    os.setsid()
    os.chdir(root)
    _print_to(log)
    run(name, lambda stage: record(stage, order))


def run(name: str, keep: Callable[[Any], None]) -> None:
    """Reproduce a stage of the repository here; exit with its command's code if that fails.

    An interrupt is for the command, never for DVC's own work on cache and lock file: DVC sees the
    command fail, releases its locks and ends. Before that work, the process ends at once.

    Parameters
    ----------
    name
        The stage.
    keep
        Called with DVC's stage when it is done and not recorded yet.
    """
    begun = False

    def interrupted(*_: object) -> None:
        if not begun:
            sys.exit(1)
        os.environ["SHELL"] = "false"  # DVC runs commands in it: one that is to start now fails

    def reproduce_and_keep(stage: Any, **settings: Any) -> Any:  # noqa: ANN401
        nonlocal begun
        begun, began = True, time.monotonic()
        done = stage.reproduce(**settings)
        if done:
            keep(done)
            print(f"{name}: {time.monotonic() - began:.1f} s with hashing")
        return done

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    os.environ["PYTHONUNBUFFERED"] = "1"  # so that the log can be followed
    try:
        with Repo(_wait_for_lock=True) as repo:
            repo.reproduce([name], single_item=True, repro_fn=reproduce_and_keep)
    except DvcException as error:
        cause = error.__cause__ or error
        print(f"error: {error}: {cause}", file=sys.stderr)
        code = re.search(r"exited with (\d+)$", str(cause))
        sys.exit(int(code[1]) if code else 1)


def _print_to(log: Path) -> None:
    """Send all output of this process and its commands to a file."""
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
