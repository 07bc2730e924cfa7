"""Write one entry of `dvc.lock` at a time.

DVC parses and writes the whole file for each stage: 4 s of CPU time at 82 stages, while every other
DVC process waits for the lock. Here DVC serialises one entry, and the text of the others is copied.
The bytes are those that DVC would write: text that DVC wrote does not change when DVC parses and
serialises it again.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvc.repo import Repo, lock_repo
from dvc.stage import PipelineStage
from dvc.stage.serialize import to_lockfile
from dvc.utils.serialize import dumps_yaml

_EMPTY = "schema: '2.0'\nstages:\n"
_STAGES = "\nstages:\n"
_FOREIGN = re.compile(r"^(?: {0,1}\S| {2}[#?:])", re.MULTILINE)  # not between plain entries
_ENTRY = re.compile(r"^(?= {2}\S)", re.MULTILINE)


def record(stage: Any, order: Sequence[str]) -> None:  # noqa: ANN401 - DVC ships no types
    """Write the entry of a stage to `dvc.lock`; the caller must hold DVC's lock.

    DVC itself writes `.dvc` files, and lock files that are not of the form that DVC writes.

    Parameters
    ----------
    stage
        DVC's stage object, after it was reproduced.
    order
        All stages in the order of a serial `dvc repro`, in which the entries are sorted.
    """
    if isinstance(stage, PipelineStage):
        file = Path(stage.path).with_suffix(".lock")
        if merge(stage.repo, file, entry_text(stage), order):
            return
    stage.dump(update_pipeline=False)


def entry_text(stage: Any) -> str:  # noqa: ANN401
    """Return the text of a lock file with the entry of one stage."""
    return str(dumps_yaml({"schema": "2.0", "stages": to_lockfile(stage)}))


def sort_entries(root: Path, order: Sequence[str]) -> None:
    """Sort the entries of `dvc.lock` in place, under DVC's lock.

    Entries of stages that are not in `order` come last. A file that is missing, sorted already, or
    not of the form that DVC writes is left unchanged.

    Parameters
    ----------
    root
        Folder of the DVC repository.
    order
        All stages in the order of a serial `dvc repro`.
    """
    with Repo(str(root), _wait_for_lock=True) as repo, lock_repo(repo):
        merge(repo, root / "dvc.lock", _EMPTY, order)


def merge(repo: Any, file: Path, new: str, order: Sequence[str]) -> bool:  # noqa: ANN401
    """Merge entries into a lock file and sort them; a new entry replaces the stage's old entry.

    Entries of stages that are not in `order` come last. A missing file is created if there are new
    entries. The caller must hold DVC's lock.

    Parameters
    ----------
    repo
        DVC's repository.
    file
        The lock file.
    new
        Text of a lock file with the new entries.
    order
        All stages in the order of a serial `dvc repro`.

    Returns
    -------
    :
        Whether the entries were merged: False if the file is not of the form in which DVC writes
        it, and is left unchanged.
    """
    old = file.read_text("utf-8") if file.exists() else _EMPTY
    head, _, body = old.partition(_STAGES)
    entries = _split(body) | _split(new.partition(_STAGES)[2])
    if not old.endswith("\n") or _STAGES not in old or _FOREIGN.search(body):
        return False
    keys = [f"  {line}\n" for line in dumps_yaml(dict.fromkeys(order)).splitlines()]
    ordered = [entries.pop(key) for key in keys if key in entries]
    text = "".join([head, _STAGES, *ordered, *entries.values()])
    if text != old:
        temporary = Path(repo.tmp_dir, file.name)
        temporary.write_text(text, "utf-8")
        temporary.replace(file)
    return True


def _split(body: str) -> dict[str, str]:
    """Split the text under `stages:` into entries, keyed by their first line."""
    entries = (entry for entry in _ENTRY.split(body) if entry)
    return {entry[: entry.find("\n") + 1]: entry for entry in entries}
