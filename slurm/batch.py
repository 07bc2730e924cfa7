"""What was submitted: a folder per commit and variant, in it one per stage.

A stage's folder holds `task.json` (what the job is to do), `job` (its number), `log` (a link), and
from the job `exit` (its exit code) and, if that is 0, `dvc.lock` (the stage's entry).
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

from slurm.plan import Step

STATE = Path(".dvc", "tmp", "slurm")  # DVC keeps .dvc/tmp out of git
KEPT = 14 * 24 * 3600  # seconds that an old batch is kept after the last submitter looked at it


class Batch:
    """The jobs of one commit and one list of changed parameters.

    Parameters
    ----------
    root
        The workspace.
    rev
        The commit.
    changes
        `name=value` words of a variant.
    """

    def __init__(self, root: Path, rev: str, changes: Sequence[str]) -> None:
        self.root, self.rev, self.changes = root, rev, list(changes)
        variant = hashlib.sha256(json.dumps([rev, *changes]).encode()).hexdigest()[:8]
        self.name = rev[:12] + (f"-{variant}" if changes else "")
        self.folder = root / STATE / self.name
        self.logs = self.folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the batch alone: other submitters wait."""
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.utime(file.fileno())
            yield

    @property
    def patch(self) -> Path:
        """The changes of a variant, as `git apply` takes them."""
        return self.folder / "variant.patch"

    @property
    def site(self) -> Path:
        """Where results are restored: the workspace, or a variant's clone."""
        return self.folder / "clone" if self.changes else self.root

    @property
    def lock(self) -> Path:
        """The `dvc.lock` that jobs start from."""
        return self.folder / "dvc.lock"

    def of(self, stage: str) -> Path:
        """Return a stage's folder."""
        return self.folder / "stages" / stage.replace("/", "_")

    def keep_lock(self, root: Path) -> None:
        """Let jobs start from the `dvc.lock` of `root`."""
        if (root / "dvc.lock").exists():
            new = self.lock.with_suffix(".new")
            shutil.copyfile(root / "dvc.lock", new)
            new.replace(self.lock)

    def forget(self, stage: str) -> None:
        """Remove a stage's folder."""
        shutil.rmtree(self.of(stage), ignore_errors=True)

    def prepare(self, step: Step) -> None:
        """Make a stage's folder anew."""
        self.forget(step.name)
        self.of(step.name).mkdir(parents=True)
        task = {"producers": step.producers, "after": step.after}
        (self.of(step.name) / "task.json").write_text(json.dumps(task))

    def submitted(self, stage: str, job: str) -> None:
        """Note a stage's job."""
        (self.of(stage) / "log").symlink_to(self.logs / f"{job}.log")
        (self.of(stage) / "job").write_text(job)

    def job(self, stage: str) -> str | None:
        """Return the number of a stage's job, None if there is none."""
        try:
            return (self.of(stage) / "job").read_text()
        except FileNotFoundError:
            return None

    def noted(self) -> bool:
        """Say whether any job was submitted."""
        return any(self.folder.glob("stages/*/job"))

    def code(self, stage: str) -> int | None:
        """Return the exit code of a stage's job, None before it ends or if it could write none."""
        try:
            return int((self.of(stage) / "exit").read_text())
        except (FileNotFoundError, ValueError):
            return None


def sweep(batch: Batch, flying: AbstractSet[str]) -> None:
    """Remove what other batches left, once they are old and none of their jobs is in flight."""
    for lock in batch.folder.parent.glob("*/lock"):
        with suppress(OSError), lock.open() as file:  # another submitter is at it
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            jobs = {noted.read_text() for noted in lock.parent.glob("stages/*/job")}
            old = time.time() - lock.stat().st_mtime > KEPT
            if lock.parent != batch.folder and old and not jobs & flying:
                shutil.rmtree(lock.parent, ignore_errors=True)
