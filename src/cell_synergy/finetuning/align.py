"""Fit one method on every fold and seed of one data set."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, NonNegativeInt, PositiveInt

from cell_synergy.core.files import atomic_write
from cell_synergy.core.resume.scratch import scratch_folder
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.inputs import InputConfig
from cell_synergy.data.splits import draw_validation_mask
from cell_synergy.training import weights
from cell_synergy.training.fit_key import fit_key
from cell_synergy.training.method import FitSpec, Method, Pairs, RunContext

if TYPE_CHECKING:
    from dvclive.live import Live


class AlignConfig(InputConfig):
    """Inputs of the methods (`axes`), seeds, and the share of validation observations.

    Attributes
    ----------
    seed, seeds
        First seed, and number of consecutive seeds.
    held
        Share of the observations of each training section on which no method is fitted: those of
        the validation curve.
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
    """Fit a method to the training pairs of each fold with each seed; write weights and curves.

    Both folders appear when every fit is complete. If a run is interrupted, a call with equal
    arguments resumes from its checkpoint in the scratch folder.

    Parameters
    ----------
    label
        Name of the run in the progress bar and in messages.
    method
        Method to fit; without randomness it is fitted with the first seed only.
    paired
        Embeddings, donors and folds of the data set.
    training
        Section `training` of params.yaml, for methods that are trained by gradient steps.
    config
        Inputs, seeds, and share of validation observations.
    out
        Folder to write, with one `<fold>-<seed>.safetensors` per fit.
    curves
        Folder to write, with `{train,validation}/<fold>-<seed>.tsv`; empty if the method is not
        trained by gradient steps.

    Raises
    ------
    ConfigError
        If hyperparameters or `training` are not valid for these pairs, or a loss is not finite.
    DataError
        If the training pairs do not determine a closed-form solution, a weight is not finite or too
        large for half precision, or the scratch folder cannot be used.
    """
    fit_specs = list(_fit_specs(method, paired, config))
    checkpoint = scratch_folder() / f"{fit_key(method, training, fit_specs)}.pt"
    inputs = paired.input_text(method.input_axes(config.axes))
    with atomic_write(out) as folder, atomic_write(curves) as logged:
        folder.mkdir()
        with _curve_logger(logged) as log:
            fitted = method.fit(fit_specs, RunContext(training, log, checkpoint, label))
        for fit_spec, fit_weights in zip(fit_specs, fitted, strict=True):
            weights.save(folder, fit_spec.name, fit_weights, inputs)
    checkpoint.unlink(missing_ok=True)


def _fit_specs(method: Method, paired: PairedDataset, config: AlignConfig) -> Iterator[FitSpec]:
    """Yield one specification per fold and seed."""
    for fold in paired.folds:
        image, expression = paired.inputs(fold, method.input_axes(config.axes))
        validation_mask = draw_validation_mask(paired.adata, fold.align, config.held)
        training, validation = (
            Pairs(image[rows], expression[rows], paired.donor[rows])
            for rows in (fold.align & ~validation_mask, validation_mask)
        )
        for seed in range(config.seed, config.seed + method.n_seeds(config.seeds)):
            yield FitSpec(f"{fold.name}-{seed}", training, validation, seed)


@contextmanager
def _curve_logger(folder: Path) -> Iterator[Callable[[str, float, int], None]]:
    """Yield a function that logs training curves with dvclive, whose files end in `folder`."""
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
