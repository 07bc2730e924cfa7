"""One method on nested subsets of the training pairs.

At 100 % the weights are those of the stage `align`, for each of its seeds. For smaller fractions
the method is fitted again for every draw, to the drawn pairs except validation observations, with
as many gradient steps as in `align`: more epochs with fewer steps each.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from cell_synergy.core.resume.part_store import PartStore
from cell_synergy.data.config import BenchmarkConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold, draw_validation_mask
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.feature_blocks import Block
from cell_synergy.downstream.probes.tasks import task_targets
from cell_synergy.finetuning.align import AlignConfig
from cell_synergy.studies.scaling import WHOLE
from cell_synergy.studies.scaling.subset_evaluator import Row, SubsetEvaluator, linear_rows
from cell_synergy.studies.scaling.subsets import ScalingConfig, Subset, subsets
from cell_synergy.training import weights
from cell_synergy.training.method import FitSpec, Method, Pairs, RunContext, Weights


class SubsampledMethod:
    """A method that is fitted to subsets of the training pairs.

    Parameters
    ----------
    method
        The method.
    paired
        The data set.
    training, align
        Sections `training` and `align` of params.yaml, with which the stage `align` fits.
    folder
        Folder of the weights that the stage `align` wrote.
    work
        Folder of checkpoints, from which an interrupted run is resumed.
    """

    def __init__(
        self,
        method: Method,
        paired: PairedDataset,
        training: Mapping[str, Any],
        align: AlignConfig,
        folder: Path,
        work: Path,
    ) -> None:
        self.paired = paired
        self._axes = method.input_axes(align.axes)
        self._method, self._training, self._align = method, training, align
        self._folder, self._work = folder, work

    def fit(self, fold: Fold, subset: Subset) -> Iterator[tuple[int, Weights]]:
        """Yield seed and weights of each fit to a subset.

        At 100 % these are the weights that the stage `align` wrote for each of its seeds. Below
        100 % there is one fit, with the first seed of `align` plus the index of the draw.

        Parameters
        ----------
        fold, subset
            The fold that the subset is drawn from, and the subset.

        Raises
        ------
        DataError
            If weights of the stage `align` are missing, damaged or fitted on other inputs.
        ConfigError
            If the section `training` is not valid, or a loss is not finite.
        """
        mask = fold.align & ~draw_validation_mask(self.paired.adata, fold.align, self._align.held)
        if subset.fraction == WHOLE:
            inputs = self.paired.input_text(self._axes)
            for seed in weights.seeds(self._folder, fold.name):
                yield seed, weights.load(self._folder, fold.name, seed, inputs)
        else:
            fit_spec = self._fit_spec(subset, mask)
            yield fit_spec.seed, self._fit_draw(fit_spec, int(mask.sum()))

    def embed(self, subset: Subset, fitted: Weights) -> list[Block]:
        """Return the blocks of the joint embedding of all observations, also of test donors.

        Parameters
        ----------
        subset
            The subset, by whose drawn observations the inputs are standardised and rotated to
            their principal axes.
        fitted
            Weights of the method, as `fit` yields them.
        """
        return self._method.embed(fitted, *self.paired.inputs(subset.drawn, self._axes))

    def _fit_spec(self, subset: Subset, mask: Bool[np.ndarray, " obs"]) -> FitSpec:
        """Return the fit to the observations of a subset that are in a mask, without validation."""
        image, expression = self.paired.inputs(subset.drawn, self._axes)
        training, validation = (
            Pairs(image[rows], expression[rows], self.paired.donor[rows])
            for rows in (np.flatnonzero(subset.drawn.align & mask), np.zeros(0, dtype=np.int64))
        )
        name = f"{subset.drawn.name}-{subset.draw}"
        return FitSpec(name, training, validation, self._align.seed + subset.draw)

    def _fit_draw(self, fit_spec: FitSpec, n_all: int) -> Weights:
        """Fit one draw with as many gradient steps as a fit to all `n_all` training pairs has."""
        n_pairs, batch = len(fit_spec.pairs.donor), int(self._training["batch_size"])
        steps = int(self._training["max_epochs"]) * (n_all // batch)
        batch = min(batch, n_pairs)
        adapted = {"batch_size": batch, "max_epochs": max(-(-steps // (n_pairs // batch)), 1)}
        checkpoint = self._work / f"{fit_spec.name}-{n_pairs}.pt"
        run = RunContext({**self._training, **adapted}, _no_curve, checkpoint, f"{n_pairs} pairs")
        (fitted,) = self._method.fit([fit_spec], run)
        checkpoint.unlink(missing_ok=True)
        return fitted


def _no_curve(name: str, number: float, epoch: int) -> None:
    """Discard a value of a training curve."""


def scale(
    name: str,
    method: SubsampledMethod,
    dataset: BenchmarkConfig,
    probe: ProbeConfig,
    config: ScalingConfig,
    store: PartStore,
) -> Iterator[Row]:
    """Yield the scores of a method at every fraction, and a row with the reason of each omission.

    Rows are dictionaries with keys of `subset_evaluator.COLUMNS`.

    Parameters
    ----------
    name, method
        Name of the method, and the method.
    dataset, probe, config
        Configurations of the data set, of the probes and of the scaling study.
    store
        Store of the rows of each subset; subsets of an interrupted run are not fitted again.

    Raises
    ------
    DataError
        If weights of the stage `align` are missing or damaged.
    ConfigError
        If the section `training` is not valid, or a loss is not finite.
    """
    paired = method.paired
    targets = task_targets(paired, config.chosen(dataset.tasks, str(paired.adata.uns["source"])))
    for fold in paired.folds:
        evaluators = {}
        for subset in subsets(paired, fold, config):
            evaluator = SubsetEvaluator(paired, targets, subset, probe, config)
            yield from ({"method": name, **row} for row in evaluator.omitted)
            if evaluator.by_labels:
                evaluators[subset] = evaluator
        for subset, evaluator in evaluators.items():
            rows = partial(_score_subset, name, method, fold, subset, evaluator)
            yield from store.rows(f"{fold.name} {subset.fraction} {subset.draw}", rows)


def _score_subset(
    name: str,
    method: SubsampledMethod,
    fold: Fold,
    subset: Subset,
    evaluator: SubsetEvaluator,
) -> Iterator[Row]:
    """Fit a subset and yield its scores."""
    for seed, fitted in method.fit(fold, subset):
        for row in linear_rows(evaluator, method.embed(subset, fitted)):
            yield {"method": name, "seed": seed, **row}
