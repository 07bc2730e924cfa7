"""Fit one method on every fold and seed of one data set."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from cell_synergy.core.config import Config
from cell_synergy.core.files import atomic_write
from cell_synergy.core.resume.scratch import run_hash, scratch_folder
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import draw_validation_mask
from cell_synergy.training import weights
from cell_synergy.training.method import FitSpec, Method, Pairs, RunContext

if TYPE_CHECKING:
    from dvclive.live import Live


class AlignConfig(Config):
    """Seeds, and the share of validation observations.

    Attributes
    ----------
    seed, seeds
        `seeds` seeds, counted up from `seed`.
    held
        Share of each training section that no method is fitted to; the validation curve is computed
        on it.
    """

    seed: NonNegativeInt
    seeds: PositiveInt
    held: Annotated[float, Field(ge=0, lt=0.5)]


def align(
    label: str,
    method: Method,
    paired: PairedDataset,
    training: Mapping[str, object],
    config: AlignConfig,
    out: Path,
    curves: Path,
) -> None:
    """Fit a method to the alignment side of each fold with each seed; write weights and curves.

    Both folders appear when everything is complete. An interrupted run leaves a checkpoint in the
    scratch folder, and the next run is resumed from it.

    Parameters
    ----------
    label
        Text of the progress bar.
    method
        The method.
    paired
        The data set.
    training
        The section `training` of params.yaml.
    config
        Seeds and validation.
    out
        Folder that gets `<fold>-<seed>.safetensors`.
    curves
        Folder that gets `{train,validation}/<fold>-<seed>.tsv`; it stays empty if the method has no
        gradient steps.
    """
    jobs = list(_jobs(method, paired, config))
    checkpoint = scratch_folder() / _key(method, training, jobs)
    with atomic_write(out) as folder, atomic_write(curves) as logged:
        folder.mkdir()
        with _curves(logged) as log:
            fitted = method.fit(jobs, RunContext(training, log, checkpoint, label))
        for job, job_weights in zip(jobs, fitted, strict=True):
            weights.save(folder, job.name, job_weights)
    checkpoint.unlink(missing_ok=True)


def _jobs(method: Method, paired: PairedDataset, config: AlignConfig) -> Iterator[FitSpec]:
    """Yield one specification per fold and seed."""
    n_seeds = config.seeds if method.seeded else 1
    for fold in paired.folds:
        image, expression = paired.standardised(fold)
        validation_mask = draw_validation_mask(paired.adata, fold.align, config.held)
        training, validation = (
            Pairs(image[rows], expression[rows], paired.donor[rows])
            for rows in (fold.align & ~validation_mask, validation_mask)
        )
        for seed in range(config.seed, config.seed + n_seeds):
            yield FitSpec(f"{fold.name}-{seed}", training, validation, seed)


@contextmanager
def _curves(folder: Path) -> Iterator[Callable[[str, float, int], None]]:
    """Yield a function that logs training curves with dvclive, and move its files to `folder`."""
    work = folder.with_name(f"{folder.name}.live")
    with ExitStack() as stack:

        @functools.cache
        def live() -> "Live":
            from dvclive.live import Live  # noqa: PLC0415 - most methods log nothing

            opened = Live(str(work), dvcyaml=None, save_dvc_exp=False, report=None)
            stack.callback(opened.end)
            return opened

        def log(name: str, number: float, epoch: int) -> None:
            live().step = epoch
            live().log_metric(name, number)

        yield log
    if (tables := work / "plots" / "metrics").is_dir():
        tables.rename(folder)
    else:
        folder.mkdir()


def _key(method: Method, training: Mapping[str, object], jobs: Sequence[FitSpec]) -> str:
    """Return the name of a checkpoint, which depends on code, parameters and inputs."""
    arrays = (
        np.ascontiguousarray(array).tobytes()
        for job in jobs
        for pairs in (job.pairs, job.validation)
        for array in (pairs.image, pairs.expression, pairs.donor.astype("U"))
    )
    parameters = (type(method).__module__, method.model_dump(), dict(training))
    return f"{run_hash(*parameters, [job.name for job in jobs], arrays=arrays)}.pt"
