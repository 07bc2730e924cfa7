"""Fit one method on every fold and seed of one data set."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from cell_synergy.core.config import Config
from cell_synergy.core.device import fingerprint, scratch
from cell_synergy.core.files import atomic
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import held
from cell_synergy.training import weights
from cell_synergy.training.method import Job, Method, Pairs, Run

if TYPE_CHECKING:
    from dvclive.live import Live


class AlignConfig(Config):
    """Seeds, and what no method learns from.

    Attributes
    ----------
    seed, seeds
        `seeds` seeds, counted up from `seed`.
    held
        Share of each training section that is held back for the validation curve.
    """

    seed: NonNegativeInt
    seeds: PositiveInt
    held: Annotated[float, Field(ge=0, lt=0.5)]


def align(
    label: str,
    method: Method,
    paired: PairedDataset,
    training: Mapping[str, object],
    settings: AlignConfig,
    out: Path,
    curves: Path,
) -> None:
    """Fit `method` on the alignment rows of each fold with each seed; write weights and curves.

    `out` becomes a folder with `<fold>-<seed>.safetensors`, `curves` one with
    `{train,validation}/<fold>-<seed>.tsv`, empty for what is not trained. They appear when
    everything is done; what was trained before a kill is kept in the scratch folder and continued
    from there.
    """
    jobs = list(_jobs(method, paired, settings))
    checkpoint = scratch() / _key(method, training, jobs)
    with atomic(out) as folder, atomic(curves) as logged:
        folder.mkdir()
        with _curves(logged) as log:
            learnt = method.fit(jobs, Run(training, log, checkpoint, label))
        for job, found in zip(jobs, learnt, strict=True):
            weights.save(folder, job.name, found)
    checkpoint.unlink(missing_ok=True)


def _jobs(method: Method, paired: PairedDataset, settings: AlignConfig) -> Iterator[Job]:
    """Yield one job per fold and seed."""
    count = settings.seeds if method.seeded else 1
    for fold in paired.folds:
        image, expression = paired.standardised(fold)
        kept_back = held(paired.adata, fold.align, settings.held)
        pairs, validation = (
            Pairs(image[rows], expression[rows], paired.donor[rows])
            for rows in (fold.align & ~kept_back, kept_back)
        )
        for seed in range(settings.seed, settings.seed + count):
            yield Job(f"{fold.name}-{seed}", pairs, validation, seed)


@contextmanager
def _curves(folder: Path) -> Iterator[Callable[[str, float, int], None]]:
    """Log training curves with dvclive; what it wrote becomes `folder`."""
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


def _key(method: Method, training: Mapping[str, object], jobs: Sequence[Job]) -> str:
    """Return the name of a checkpoint: it changes with code, parameters and inputs."""
    arrays = (
        np.ascontiguousarray(array).tobytes()
        for job in jobs
        for pairs in (job.pairs, job.held)
        for array in (pairs.image, pairs.expression, pairs.donor.astype("U"))
    )
    settings = (type(method).__module__, method.model_dump(), dict(training))
    return f"{fingerprint(*settings, [job.name for job in jobs], data=arrays)}.pt"
