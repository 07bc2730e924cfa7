"""Run one stage in the clone of a job: `python -m slurm.job FOLDER STAGE`.

The outputs that the stage reads are checked out from the cache; no other stage is run.
"""

import json
import sys
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo

from runner.lockfile import entry_text, merge
from runner.stage import run


def main(folder: Path, name: str) -> None:
    """Reproduce a stage in the current repository, and write its entry of `dvc.lock` to `folder`.

    First, entries of the stages in `after` of `task.json` are merged into `dvc.lock`, and inputs
    are checked out. Exit codes of the process are those of `runner.stage.run`.

    Parameters
    ----------
    folder
        Folder of the stage in the batch, with `task.json`.
    name
        Name of the stage.

    Raises
    ------
    dvc.exceptions.DvcException
        If `dvc.lock` is not of the form in which DVC writes it, or an input is not in the cache.
    """
    task = json.loads((folder / "task.json").read_text())
    folders = [folder.parent / producer.replace("/", "_") for producer in task["after"]]
    with Repo(_wait_for_lock=True) as repo, lock_repo(repo):
        for entry in filter(Path.is_file, [done / "dvc.lock" for done in folders]):
            if not merge(repo, Path("dvc.lock"), entry.read_text(), ()):
                raise DvcException("dvc.lock is not as DVC writes it: delete it and commit that")
        stages = {stage.addressing: stage for stage in repo.index.stages}
        for producer in task["producers"]:
            _checkout(stages[producer])
    run(name, lambda stage: _write_entry(stage, folder / "dvc.lock"))


def _checkout(stage: Any) -> None:  # noqa: ANN401 - DVC ships no types
    """Check out the outputs of a stage, with the hashes in its entry of `dvc.lock`."""
    for out in stage.outs:
        in_git = not out.use_cache
        out.use_cache = True
        if out.changed_cache():
            if in_git:
                continue
            raise DvcException(
                f"{out}, output of {stage.addressing}, is not in the cache: "
                f"`dvc commit {stage.addressing}` where it is, or `dvc pull` it"
            )
        out.checkout(force=True)


def _write_entry(stage: Any, file: Path) -> None:  # noqa: ANN401
    """Write the entry of a stage to a file, which jobs that wait for the stage read."""
    new = file.with_suffix(".new")
    new.write_text(entry_text(stage))
    new.replace(file)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except DvcException as error:
        sys.exit(f"error: {error}")
