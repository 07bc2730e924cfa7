"""Restore results from DVC's run-cache; no command is ever executed."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from dvc.dependency.base import DependencyDoesNotExistError
from dvc.repo import Repo, lock_repo
from dvc.stage.cache import RunCacheNotFoundError
from dvc_data.hashfile.hash_info import HashInfo

from runner.lockfile import record
from runner.plan import Plan, Step


def restore(plan: Plan) -> list[Step]:
    """Restore the steps whose results are in DVC's run-cache, and record them in `dvc.lock`.

    Returns
    -------
    :
        The steps that were not restored, with `after` restricted to such steps; their outputs are
        unchanged. A step that waits for a step that was not restored is not restored either.
    """
    remaining: dict[str, Step] = {}
    if not plan.steps:
        return []
    with Repo(str(plan.root), _wait_for_lock=True) as repo, lock_repo(repo), _commands_disabled():
        stages = {stage.addressing: stage for stage in repo.index.stages}
        for step in plan.steps:
            stage = stages[step.name]
            if remaining.keys() & set(step.after) or not _is_restored(stage, plan.order):
                remaining[step.name] = step
    return [
        replace(step, after=tuple(filter(remaining.get, step.after))) for step in remaining.values()
    ]


def _is_restored(stage: Any, order: Sequence[str]) -> bool:  # noqa: ANN401 - DVC ships no types
    """Restore a stage if it is in the run-cache; return whether it is up to date now."""
    if not stage.changed():
        return True
    try:
        if stage.changed_stage() or not stage.deps_cached():
            stage.save_deps()
            for out in stage.outs:  # the recorded hashes are those of other inputs
                out.hash_info = HashInfo()
        _require_cached(stage)
    except (RunCacheNotFoundError, DependencyDoesNotExistError):
        return False
    stage.run()
    record(stage, order)
    return True


def _require_cached(stage: Any) -> None:  # noqa: ANN401
    """Raise RunCacheNotFoundError if the run-cache has no entry for the stage."""
    cache = stage.repo.stage_cache
    try:
        cache.restore(stage, dry=True)
    except TypeError:  # DVC 3.67 reads an empty folder, left by a full disk, as an entry
        for folder in Path(cache.cache_dir).glob("*/*"):
            with suppress(OSError):  # the folder is not empty
                folder.rmdir()
        cache.restore(stage, dry=True)


@contextmanager
def _commands_disabled() -> Iterator[None]:
    """Make every command that DVC starts in a `with` block fail: its shell is `false`."""
    before = os.environ.get("SHELL")
    os.environ["SHELL"] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SHELL"]
        else:
            os.environ["SHELL"] = before
