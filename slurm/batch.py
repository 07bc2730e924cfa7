"""Files about submitted jobs: a folder per commit and variant, with one folder per stage.

The folder of a stage has `task.json` (the stage's producers), `job` (number of the job) and `log`
(a symbolic link); the job adds `exit` (its exit code) and, if that is 0, `dvc.lock` (the stage's
entry).
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.plan import Step

_BATCHES = Path(".dvc", "tmp", "slurm")  # DVC keeps .dvc/tmp out of git
RETENTION = 14 * 24 * 3600  # seconds after its last submission until a batch is removed


class Batch:
    """The jobs of one commit and one list of parameter overrides.

    Parameters
    ----------
    root
        Folder of the repository.
    rev
        Hash of the commit.
    overrides
        `name=value` overrides of a variant; empty for the commit itself.

    Attributes
    ----------
    name
        First 12 digits of the commit's hash; for a variant also 8 of a hash of the overrides.
    folder, logs
        Folder of the batch, and of the logs of its jobs.
    """

    def __init__(self, root: Path, rev: str, overrides: Sequence[str]) -> None:
        self.root, self.rev, self.overrides = root, rev, list(overrides)
        variant = hashlib.sha256(json.dumps([rev, *overrides]).encode()).hexdigest()[:8]
        self.name = rev[:12] + (f"-{variant}" if overrides else "")
        self.folder = root / _BATCHES / self.name
        self.logs = self.folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the batch during a `with` block; wait while another process has the lock."""
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.utime(file.fileno())
            yield

    @property
    def patch(self) -> Path:
        """File with a variant's changes of parameter files, for `git apply`."""
        return self.folder / "variant.patch"

    @property
    def workspace(self) -> Path:
        """The folder in which results are restored: the repository, or a variant's clone."""
        return self.folder / "clone" if self.overrides else self.root

    @property
    def lock(self) -> Path:
        """Copy of `dvc.lock` that jobs start with."""
        return self.folder / "dvc.lock"

    def stage_folder(self, stage: str) -> Path:
        """Return the folder of a stage, whether it exists or not."""
        return self.folder / "stages" / stage.replace("/", "_")

    def copy_lock(self, root: Path) -> None:
        """Copy the `dvc.lock` of `root`, if it has one, to `lock`, with which jobs start."""
        if (root / "dvc.lock").exists():
            new = self.lock.with_suffix(".new")
            shutil.copyfile(root / "dvc.lock", new)
            new.replace(self.lock)

    def remove(self, stage: str) -> None:
        """Remove the folder of a stage."""
        shutil.rmtree(self.stage_folder(stage), ignore_errors=True)

    def prepare(self, step: Step) -> None:
        """Create the folder of a step's stage with its `task.json`; a former folder is deleted."""
        self.remove(step.name)
        self.stage_folder(step.name).mkdir(parents=True)
        task = {"producers": step.producers, "after": step.after}
        (self.stage_folder(step.name) / "task.json").write_text(json.dumps(task))

    def record_job(self, stage: str, job: str) -> None:
        """Record the job of a stage, and link its log.

        Parameters
        ----------
        stage
            Name of the stage.
        job
            Number of the job; `12_3` is a task of an array.
        """
        (self.stage_folder(stage) / "log").symlink_to(self.logs / f"{job}.log")
        (self.stage_folder(stage) / "job").write_text(job)

    def job(self, stage: str) -> str | None:
        """Return the number of the job of a stage, None if none was submitted."""
        try:
            return (self.stage_folder(stage) / "job").read_text()
        except FileNotFoundError:
            return None

    def has_jobs(self) -> bool:
        """Return whether any job was submitted."""
        return any(self.folder.glob("stages/*/job"))

    def exit_code(self, stage: str) -> int | None:
        """Return the exit code that the job of a stage wrote, None if it has written none."""
        try:
            return int((self.stage_folder(stage) / "exit").read_text())
        except (FileNotFoundError, ValueError):
            return None


def remove_old(batch: Batch, in_flight: AbstractSet[str]) -> None:
    """Remove batches without a job in flight whose last submission is over 14 days ago.

    Parameters
    ----------
    batch
        The current batch, which is kept.
    in_flight
        Numbers of the user's jobs that have not ended.
    """
    for lock in batch.folder.parent.glob("*/lock"):
        with suppress(OSError), lock.open() as file:  # raised if another submitter has the lock
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            jobs = {job.read_text() for job in lock.parent.glob("stages/*/job")}
            old = time.time() - lock.stat().st_mtime > RETENTION
            if lock.parent != batch.folder and old and not jobs & in_flight:
                shutil.rmtree(lock.parent, ignore_errors=True)
