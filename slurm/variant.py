"""Clone of a variant of the study, such as `-S method=byol`, saved as an experiment."""

import shutil
from contextlib import chdir
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides, to_hydra_overrides

from runner.hook import run_check
from slurm.batch import Batch
from slurm.command import call
from slurm.script import clone_commands, quote
from slurm.workspace import Workspace


def make_clone(batch: Batch, workspace: Workspace) -> None:
    """Clone HEAD and change its parameters to those of the variant; results are restored there.

    The parameter files are changed as by `dvc exp run -S`. An existing clone is kept.

    Parameters
    ----------
    batch
        Commit and overrides of the variant.
    workspace
        The repository, with the `dvc.lock` and the cache that the clone uses.

    Raises
    ------
    dvc.exceptions.DvcException
        If the overrides are not valid or change nothing, or git cannot clone the repository.
    """
    if batch.workspace.is_dir():
        return
    new = batch.workspace.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    batch.patch.unlink(missing_ok=True)
    batch.copy_lock(workspace.root)
    variables = f"clone={quote(new)} site={quote(batch.folder / 'dvc')}"
    call("bash", "-ec", f"{variables}\n{clone_commands(batch, workspace.cache)}")
    with chdir(new):
        override(batch.overrides)
        run_check()
        patch = call("git", "diff", "--", ":!dvc.lock")
        if not patch:
            raise DvcException(f"-S {' '.join(batch.overrides)} changes nothing: HEAD has that")
        batch.patch.write_text(f"{patch}\n")
        with Repo() as repo:
            repo.checkout(force=True, allow_missing=True)
    new.rename(batch.workspace)


def override(overrides: list[str]) -> None:
    """Apply `[file:]name=value` overrides to the parameter files of the working directory.

    Raises
    ------
    dvc.exceptions.DvcException
        If a file or a name is missing, or an override lists several values.
    """
    for path, values in to_path_overrides(overrides).items():
        if any(value.is_sweep_override() for value in to_hydra_overrides(values)):
            raise DvcException(f"-S {' '.join(values)}: one value; submit a variant for each")
        if not Path(path).is_file():
            raise DvcException(f"-S {path}:{' '.join(values)}: there is no file {path}")
        try:
            apply_overrides(path, values)
        except DvcException as error:
            raise DvcException(f"-S {' '.join(values)}: {error.__cause__ or error}") from error


def save_experiment(batch: Batch, targets: list[str]) -> str:
    """Save the clone of a variant as a DVC experiment of `batch.root`, and delete the clone.

    An experiment that already has the name of the variant is kept as it is.

    Parameters
    ----------
    batch
        Commit and overrides of the variant.
    targets
        Stages that were run; an empty list means all.

    Returns
    -------
    :
        Name of the experiment: `slurm-` and the 8 digits of the variant's hash.

    Raises
    ------
    dvc.exceptions.DvcException
        If the batch has no overrides, so that its workspace is the repository itself; or if DVC
        cannot save the experiment, or git cannot fetch it.
    """
    if not batch.overrides:
        raise DvcException(
            f"{batch.root} is the repository itself, not the clone of a variant, and is not "
            "deleted; name the changes with -S NAME=VALUE"
        )
    name = f"slurm-{batch.name.rpartition('-')[2]}"
    find = ("git", "for-each-ref", "--format=%(refname)", f"refs/exps/**/{name}")
    if not call(*find, cwd=batch.root):
        with chdir(batch.workspace), Repo() as repo:
            repo.experiments.save(targets=targets, name=name)
        ref = call(*find, cwd=batch.workspace)
        call("git", "fetch", "--quiet", str(batch.workspace), f"{ref}:{ref}", cwd=batch.root)
    shutil.rmtree(batch.workspace)
    return name
