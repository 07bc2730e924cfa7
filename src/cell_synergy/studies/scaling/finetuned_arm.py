"""The tunable expert, fine-tuned on nested subsets of the training pairs.

The expert is fine-tuned on the drawn pairs and their labels. For the curve with all labels, linear
probes are fitted to the features of the expert fine-tuned on the drawn pairs. At 100 % both curves
are equal.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from cell_synergy.core.names import FINE_TUNED
from cell_synergy.core.resume.part_store import PartStore
from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.tasks import Prediction, task_targets
from cell_synergy.finetuning.adapters import AdaptedExpert
from cell_synergy.finetuning.config import FinetuneConfig
from cell_synergy.finetuning.frozen_features import FrozenFeatures
from cell_synergy.finetuning.tunable import TunableExpert
from cell_synergy.finetuning.tuning import Finetuner
from cell_synergy.studies.scaling import ALL_LABELS, DRAWN_LABELS, PRIOR, TUNED, WHOLE
from cell_synergy.studies.scaling.subset_evaluator import Row, SubsetEvaluator, linear_rows
from cell_synergy.studies.scaling.subsets import ScalingConfig, subsets


def scale(
    expert: TunableExpert,
    paired: PairedDataset,
    tasks: Mapping[str, Task],
    config: FinetuneConfig,
    probe: ProbeConfig,
    scaling: ScalingConfig,
    store: PartStore,
) -> Iterator[Row]:
    """Yield the scores of an expert at every fraction, and a row with the reason of each omission.

    Rows are dictionaries with keys of `subset_evaluator.COLUMNS`. Their `method` is `finetuned`, or
    `prior` for a probe of a constant feature.

    Parameters
    ----------
    expert
        The expert that is fine-tuned.
    paired
        The data set, with the embedding of the frozen expert as `expression`.
    tasks
        Tasks to predict, by name.
    config, probe, scaling
        Configurations of fine-tuning, of the probes and of the scaling study.
    store
        Store of the rows of each subset; those of an interrupted run are not computed again.

    Raises
    ------
    ConfigError
        If more last layers are to be trained than the expert has, or a loss is not finite.
    """
    adapted = AdaptedExpert(expert, config)
    targets = task_targets(paired, tasks)
    for fold in paired.folds:
        for subset in subsets(paired, fold, scaling):
            evaluator = SubsetEvaluator(paired, targets, subset, probe, scaling)
            rows = partial(_score_arms, adapted, evaluator, config.seed + subset.draw)
            yield from store.rows(f"{fold.name} {subset.fraction} {subset.draw}", rows)


def _score_arms(adapted: AdaptedExpert, evaluator: SubsetEvaluator, seed: int) -> Iterator[Row]:
    """Yield the scores of every arm on one subset."""
    paired = evaluator.paired
    for arm in (PRIOR, TUNED):
        yield from ({"method": arm, **row} for row in evaluator.omitted)
    constant = np.zeros((paired.adata.n_obs, 1), dtype=np.float32)
    for row in linear_rows(evaluator, [constant]):
        yield {"method": PRIOR, "seed": seed, **row}
    for row in _score_tuned(adapted, evaluator, seed):
        yield {"method": TUNED, "seed": seed, **row}


def _score_tuned(adapted: AdaptedExpert, evaluator: SubsetEvaluator, seed: int) -> Iterator[Row]:
    """Fine-tune on each task of one subset, and yield the scores."""
    paired, subset = evaluator.paired, evaluator.subset
    linear = evaluator.predict(DRAWN_LABELS, [paired.expression])
    frozen = FrozenFeatures.of(paired.expression, subset.drawn.align, paired.groups, paired.mode)
    with_drawn: dict[str, Prediction] = {}
    with_all: dict[str, Prediction] = {}
    for name, prediction in linear.items():
        task, config = evaluator.by_labels[DRAWN_LABELS].tasks[name][1], adapted.settings
        penalty = prediction.selection.penalty
        tuning = Finetuner(adapted, frozen, task, penalty, evaluator.probe, config, seed)
        fitted = tuning.run(with_features=subset.fraction != WHOLE and subset.draw == 0)
        with_drawn[name] = fitted.prediction
        if fitted.features is not None:
            with_all |= evaluator.predict(ALL_LABELS, [fitted.features], [name])
    if subset.fraction == WHOLE:
        with_all = with_drawn
    yield from evaluator.rows(DRAWN_LABELS, with_drawn, FINE_TUNED)
    yield from evaluator.rows(ALL_LABELS, with_all, FINE_TUNED)
