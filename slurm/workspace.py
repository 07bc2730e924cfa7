"""Determine commit and cache that jobs use, and refuse a workspace with uncommitted changes."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo

from slurm.command import call

_WRITTEN_BY_DVC = {"dvc.lock", ".gitignore"}


@dataclass(frozen=True)
class Workspace:
    """The commit and the cache that jobs use.

    Attributes
    ----------
    root
        Folder of the repository.
    rev
        HEAD's commit.
    cache
        DVC's cache, which the jobs share.
    """

    root: Path
    rev: str
    cache: Path


def inspect() -> Workspace:
    """Return root, commit and cache of the repository that contains the working directory.

    Raises
    ------
    dvc.exceptions.DvcException
        If the repository has no commit; if a tracked file differs from HEAD, whose code and
        parameters the jobs use, or a dependency of a stage is not in HEAD (outputs of stages and
        `dvc.lock` may differ); or if the cache cannot be written.
    """
    with Repo() as repo:
        root = Path(repo.root_dir)
        _require_commit(root)
        changes = _changes(root)
        if changes:
            _refuse(repo, changes)
        return Workspace(root, call("git", "rev-parse", "HEAD"), _cache(repo))


def _require_commit(root: Path) -> None:
    """Raise an error if the repository has no commit, as after `git init` in an archive."""
    try:
        call("git", "rev-parse", "--verify", "--quiet", "HEAD", cwd=root)
    except DvcException as error:
        raise DvcException(
            "jobs run the code of HEAD, and there is no commit here: `git clone` the repository, "
            "or `git add --all && git commit -m archive`"
        ) from error


def _changes(root: Path) -> list[tuple[str, str]]:
    """Return state and path of every file that is not in HEAD or differs from it."""
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=all")
    output = call("git", "status", *options, cwd=root)
    entries = [(entry[:2], entry[3:]) for entry in output.split("\0") if entry]
    return [(state, path) for state, path in entries if Path(path).name not in _WRITTEN_BY_DVC]


def _refuse(repo: Any, changes: list[tuple[str, str]]) -> None:  # noqa: ANN401 - DVC ships no types
    """Raise an error for changed tracked files, and for new files that stages depend on."""
    outs = [Path(out.fs_path) for out in repo.index.outs]
    deps = [Path(dep.fs_path) for dep in repo.index.deps]
    refused = []
    for state, name in changes:
        path = Path(repo.root_dir, name)
        parents = {path, *path.parents}
        if not parents.intersection(outs) and (state != "??" or parents.intersection(deps)):
            refused.append(name)
    if refused:
        listed = "\n".join(f"    {name}" for name in refused)
        raise DvcException(
            f"jobs run the code of HEAD, and these files differ from it:\n{listed}\n"
            "commit them, or put them aside with `git stash --include-untracked`"
        )


def _cache(repo: Any) -> Path:  # noqa: ANN401
    """Return the cache's folder, created where it does not exist."""
    cache = Path(repo.cache.local_cache_dir)
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DvcException(f"the cache {cache} cannot be made: {error}") from error
    if not os.access(cache, os.W_OK):
        raise DvcException(
            f"the cache {cache} cannot be written: jobs would lose their results; "
            "`dvc cache dir --local FOLDER` names another"
        )
    return cache
