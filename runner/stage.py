"""Reproduce one stage in a process, as `dvc --wait-for-lock repro -s STAGE` does, but faster."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import _reproduce

from runner import warm
from runner.command import Command
from runner.lockfile import load_stage, record


def reproduce(root: Path, name: str, order: Sequence[str], log: Path) -> None:
    """Reproduce a stage, and write its entry of `dvc.lock`; call this in a process of its own.

    The process becomes the leader of a new process group; its exit codes are those of `run`. If it
    was forked from one that has imported what commands share (`runner.warm`), so is its command.

    Parameters
    ----------
    root
        Folder of the DVC repository.
    name
        Name of the stage.
    order
        All stages in the order of a serial `dvc repro`, in which the entries are sorted.
    log
        File for the standard output and error of DVC and of the command; it is overwritten.
    """
    os.setsid()
    os.chdir(root)
    _redirect_output(log)
    if warm.loaded is not None:
        Command(warm.loaded).install()
    run(name, lambda stage: record(stage, order))


def run(name: str, on_done: Callable[[Any], None]) -> None:
    """Reproduce a stage of the current repository, unless it is up to date.

    If the command fails by itself, the process exits with its code; after a signal, or another
    error of DVC, with code 1. SIGINT and SIGTERM, sent to the process group, end the command, but
    do not interrupt DVC's writes to cache and lock file: DVC handles the failure of the command,
    releases its locks and ends. A signal before DVC starts on the stage ends the process at once;
    while DVC checks and hashes inputs, it only prevents the start of the command.

    Parameters
    ----------
    name
        Name of the stage.
    on_done
        Function that writes the entry of `dvc.lock`, given DVC's stage object; it is called after
        the stage was reproduced, but not if the stage was up to date already.
    """
    reproducing = False

    def handle_signal(*_: object) -> None:
        if not reproducing:
            sys.exit(1)
        os.environ["SHELL"] = "false"  # DVC runs commands in it, so no further command can start

    def reproduce_stage(stage: Any, **settings: Any) -> Any:  # noqa: ANN401 - DVC ships no types
        nonlocal reproducing
        reproducing, started = True, time.monotonic()
        _guard_inputs(stage)
        done = stage.reproduce(**settings)
        if done:
            on_done(done)
            print(f"{name}: {time.monotonic() - started:.1f} s with hashing")
        return done

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle_signal)
    os.environ["PYTHONUNBUFFERED"] = "1"  # so that the log can be followed
    try:
        with Repo(_wait_for_lock=True) as repo, lock_repo(repo), repo.scm_context():
            _reproduce([load_stage(repo, name)], repro_fn=reproduce_stage, interactive=False)
    except DvcException as error:
        cause = error.__cause__ or error
        print(f"error: {error}: {cause}", file=sys.stderr)
        code = re.search(r"exited with (\d+)$", str(cause))
        sys.exit(int(code[1]) if code else 1)


def _guard_inputs(stage: Any) -> None:  # noqa: ANN401
    """Make a stage fail if its inputs or parameters change while its command runs.

    DVC hashes inputs and parameters before the command, to search the run-cache, and again after
    the command, and records the second hashes. Results of the earlier content would therefore be
    recorded as results of an input or a parameter that changed while the command ran.
    """
    save = stage.save_deps
    before: dict[str, object] = {}

    def save_and_compare(**settings: Any) -> None:  # noqa: ANN401
        save(**settings)
        now = {str(dep): dep.hash_info for dep in stage.deps}
        if changed := sorted(name for name in before if before[name] != now[name]):
            raise DvcException(
                f"{', '.join(changed)} changed while it ran, so that its results are not kept"
            )
        before.update(now)

    stage.save_deps = save_and_compare


def _redirect_output(log: Path) -> None:
    """Redirect standard output and error of this process and its commands to a file."""
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
