"""Read and write one entry of `dvc.lock` at a time.

DVC parses and writes the whole file for each stage: 4 s of CPU time at 82 stages, while every other
DVC process waits for the lock. Here DVC parses or serialises one entry, and the text of the others
is copied. The bytes are those that DVC would write: text that DVC wrote does not change when DVC
parses and serialises it again. The `dvc.yaml` of another folder has a `dvc.lock` beside it, which
is treated alike.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dvc.dvcfile import LOCK_FILE, PROJECT_FILE, ProjectFile
from dvc.repo import Repo, lock_repo
from dvc.stage import PipelineStage
from dvc.stage.serialize import to_lockfile
from dvc.utils.serialize import dumps_yaml, parse_yaml

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
        Addresses of all stages in the order of a serial `dvc repro`, in which the entries are
        sorted.
    """
    if isinstance(stage, PipelineStage):
        file = Path(stage.path).with_name(LOCK_FILE)
        names = _names(order).get(stage.path_in_repo, ())
        if merge(stage.repo, file, entry_text(stage), names):
            return
    stage.dump(update_pipeline=False)


def entry_text(stage: Any) -> str:  # noqa: ANN401
    """Return the text of a lock file with the entry of one stage."""
    return str(dumps_yaml({"schema": "2.0", "stages": to_lockfile(stage)}))


def sort_entries(root: Path, order: Sequence[str]) -> None:
    """Sort the entries of each `dvc.lock` in place, under DVC's lock.

    Entries of stages that are not in `order` come last. A file that is missing, sorted already, or
    not of the form that DVC writes is left unchanged.

    Parameters
    ----------
    root
        Folder of the DVC repository.
    order
        Addresses of all stages in the order of a serial `dvc repro`.
    """
    with Repo(str(root), _wait_for_lock=True) as repo, lock_repo(repo):
        for file, names in _names(order).items():
            merge(repo, (root / file).with_name(LOCK_FILE), _EMPTY, names)


def load_stage(repo: Any, address: str) -> Any:  # noqa: ANN401
    """Return DVC's stage object, for which only the stage's own entry of the lock file is parsed.

    DVC itself loads `.dvc` files, and parses lock files that are not of the form that DVC writes.

    Parameters
    ----------
    repo
        DVC's repository, whose root is the working directory.
    address
        Address of the stage in DVC.
    """
    if address.endswith(".dvc"):
        return repo.stage.load_one(address)
    path, name = _split_address(address)
    dvcfile = ProjectFile(repo, repo.fs.abspath(path))
    lock = Path(path).with_name(LOCK_FILE)
    text = lock.read_text("utf-8") if lock.exists() else ""
    if _is_plain(text):
        key = f"  {dumps_yaml({name: None})}"
        entry = _split(text.partition(_STAGES)[2]).get(key, "  {}\n")
        vars(dvcfile)["lockfile_contents"] = parse_yaml(f"{_EMPTY}{entry}", str(lock))
    return dvcfile.stages[name]


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
        Names of all stages of the file in the order of a serial `dvc repro`.

    Returns
    -------
    :
        Whether the entries were merged: False if the file is not of the form in which DVC writes
        it, and is left unchanged.
    """
    old = file.read_text("utf-8") if file.exists() else _EMPTY
    if not _is_plain(old):
        return False
    head, _, body = old.partition(_STAGES)
    entries = _split(body) | _split(new.partition(_STAGES)[2])
    keys = [f"  {line}\n" for line in dumps_yaml(dict.fromkeys(order)).splitlines()]
    ordered = [entries.pop(key) for key in keys if key in entries]
    text = "".join([head, _STAGES, *ordered, *entries.values()])
    if text != old:
        temporary = Path(repo.tmp_dir, file.name)
        temporary.write_text(text, "utf-8")
        temporary.replace(file)
    return True


def _is_plain(text: str) -> bool:
    """Return whether the text of a lock file is of the form in which DVC writes it."""
    return (
        text.endswith("\n") and _STAGES in text and not _FOREIGN.search(text.partition(_STAGES)[2])
    )


def _split_address(address: str) -> tuple[str, str]:
    """Return the path of the `dvc.yaml` of a stage, and the stage's name in it."""
    folder, colon, name = address.rpartition(f"{PROJECT_FILE}:")
    return f"{folder}{PROJECT_FILE}", name if colon else address


def _names(order: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of stages, in their order, by the path of their `dvc.yaml`."""
    names: dict[str, list[str]] = {}
    for path, name in map(_split_address, order):
        names.setdefault(path, []).append(name)
    return names


def _split(body: str) -> dict[str, str]:
    """Split the text under `stages:` into entries, keyed by their first line."""
    entries = (entry for entry in _ENTRY.split(body) if entry)
    return {entry[: entry.find("\n") + 1]: entry for entry in entries}
