"""A variant of the study, `-S method=byol`: its clone, and the experiment it becomes."""

import shutil
from contextlib import chdir
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides, to_hydra_overrides

from slurm.batch import Batch
from slurm.command import call
from slurm.script import clone_commands, quoted
from slurm.workspace import Workspace


def make_clone(batch: Batch, workspace: Workspace) -> None:
    """Clone HEAD with the variant's parameters; its results are restored there.

    The change of the parameter files is DVC's own, as `dvc exp run -S` makes it.
    """
    if batch.site.is_dir():
        return
    new = batch.site.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    batch.patch.unlink(missing_ok=True)
    batch.keep_lock(workspace.root)
    places = f"clone={quoted(new)} site={quoted(batch.folder / 'dvc')}"
    call("bash", "-ec", f"{places}\n{clone_commands(batch, workspace.cache)}")
    with chdir(new):
        override(batch.changes)
        patch = call("git", "diff", "--", ":!dvc.lock")
        if not patch:
            raise DvcException(f"-S {' '.join(batch.changes)} changes nothing: HEAD has that")
        batch.patch.write_text(f"{patch}\n")
        with Repo() as repo:
            repo.checkout(force=True, allow_missing=True)
    new.rename(batch.site)


def override(changes: list[str]) -> None:
    """Apply `[file:]name=value` words to the parameter files here."""
    for path, words in to_path_overrides(changes).items():
        if any(word.is_sweep_override() for word in to_hydra_overrides(words)):
            raise DvcException(f"-S {' '.join(words)}: one value; submit a variant for each")
        if not Path(path).is_file():
            raise DvcException(f"-S {path}:{' '.join(words)}: there is no file {path}")
        try:
            apply_overrides(path, words)
        except DvcException as error:
            raise DvcException(f"-S {' '.join(words)}: {error.__cause__ or error}") from error


def save_experiment(batch: Batch, targets: list[str]) -> str:
    """Make the clone's state an experiment of the workspace, if it is none yet; return its name."""
    name = f"slurm-{batch.name.rpartition('-')[2]}"
    find = ("git", "for-each-ref", "--format=%(refname)", f"refs/exps/**/{name}")
    if not call(*find, folder=batch.root):
        with chdir(batch.site), Repo() as repo:
            repo.experiments.save(targets=targets, name=name)
        ref = call(*find, folder=batch.site)
        call("git", "fetch", "--quiet", str(batch.site), f"{ref}:{ref}", folder=batch.root)
    shutil.rmtree(batch.site)
    return name
