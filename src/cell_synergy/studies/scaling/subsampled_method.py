"""One method on nested subsets of the training pairs.

The method is fitted to every draw of a fraction and, where its result depends on the seed, as often
to all pairs, with another seed each time; always without the validation observations of `align`.
Every fit has as many gradient steps as one to all pairs: fewer pairs have more epochs with fewer
steps each.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, NonNegativeInt

from cell_synergy.core.resume.part_store import PartStore
from cell_synergy.data.config import BenchmarkConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.inputs import InputConfig
from cell_synergy.data.splits import Fold, draw_validation_mask
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.feature_blocks import Block
from cell_synergy.downstream.probes.tasks import task_targets
from cell_synergy.studies.scaling import WHOLE
from cell_synergy.studies.scaling.subset_evaluator import Row, SubsetEvaluator, linear_rows
from cell_synergy.studies.scaling.subsets import ScalingConfig, Subset, subsets
from cell_synergy.training.method import FitSpec, Method, Pairs, RunContext, Weights


class FitConfig(InputConfig):
    """Keys of `align` in params.yaml that fits to subsets share with that stage: `axes` and these.

    Attributes
    ----------
    seed
        Seed of the first fit.
    held
        Share of the observations of each training section on which no method is fitted.
    """

    seed: NonNegativeInt
    held: Annotated[float, Field(ge=0, lt=0.5)]


class SubsampledMethod:
    """A method that is fitted to subsets of the training pairs.

    Parameters
    ----------
    method
        The method.
    paired
        The data set.
    training
        Section `training` of params.yaml.
    config
        Inputs of the methods, first seed, and share of validation observations.
    draws
        Number of fits at 100 %, if the result depends on the seed.
    work
        Folder of checkpoints, from which an interrupted run is resumed.
    """

    def __init__(
        self,
        method: Method,
        paired: PairedDataset,
        training: Mapping[str, Any],
        config: FitConfig,
        draws: int,
        work: Path,
    ) -> None:
        self.paired = paired
        self._axes = method.input_axes(config.axes)
        self._method, self._training, self._config = method, training, config
        self._seeds, self._work = range(method.n_seeds(draws)), work

    def fit(self, fold: Fold, subset: Subset) -> Iterator[tuple[int, Weights]]:
        """Yield seed and weights of each fit to a subset.

        Below 100 % there is one fit, whose seed is the first seed plus the index of the draw. At
        100 % there is one for every draw of a smaller fraction, with the same seeds, or a single
        one if the result does not depend on the seed.

        Parameters
        ----------
        fold, subset
            The fold that the subset is drawn from, and the subset.

        Raises
        ------
        ConfigError
            If the section `training` is not valid, or a loss is not finite.
        """
        mask = fold.align & ~draw_validation_mask(self.paired.adata, fold.align, self._config.held)
        image, expression = self.paired.inputs(subset.drawn, self._axes)
        training, validation = (
            Pairs(image[rows], expression[rows], self.paired.donor[rows])
            for rows in (np.flatnonzero(subset.drawn.align & mask), np.zeros(0, dtype=np.int64))
        )
        for number in self._seeds if subset.fraction == WHOLE else [subset.draw]:
            seed = self._config.seed + number
            fit_spec = FitSpec(f"{fold.name}-{number}", training, validation, seed)
            yield seed, self._fit(fit_spec, int(mask.sum()))

    def embed(self, subset: Subset, fitted: Weights) -> list[Block]:
        """Return the blocks of the joint embedding of all observations, also of test donors.

        Parameters
        ----------
        subset
            The subset, on whose drawn observations standardisation and principal axes are fitted.
        fitted
            Weights of the method, as `fit` yields them.
        """
        return self._method.embed(fitted, *self.paired.inputs(subset.drawn, self._axes))

    def _fit(self, fit_spec: FitSpec, n_all: int) -> Weights:
        """Fit with as many gradient steps as a fit to all `n_all` training pairs has."""
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
