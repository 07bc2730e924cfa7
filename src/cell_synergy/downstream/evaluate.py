"""Evaluation of one representation: probes are fitted on training donors and score test donors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import DONOR, LATE_FUSION, LINEAR, NONLINEAR, TRANSDUCTIVE
from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.remarks import add_remark
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.probes import mlp
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.feature_blocks import Block, Embedding, as_blocks
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.scorers import scorer, scores_by_donor
from cell_synergy.downstream.probes.tasks import (
    Prediction,
    Selection,
    Target,
    make_donor_task,
    make_probe_task,
    task_targets,
)

Representation = Callable[[Fold, int], Embedding]
"""Function from a fold and a seed to a representation, one row per observation of the data set:
an array, or a sequence of arrays if it has several blocks (see `probes.feature_blocks`)."""

COLUMNS = [
    "dataset", "method", "task", "metric", "probe", "fold", "donor", "seed", "value", "n",
    "inner", "classes", "chance", "entropy", "strength", "sensitivity", "gradient_norm",
    "iterations",
]  # fmt: skip
FIT_COLUMNS = ["inner", "strength", "sensitivity", "gradient_norm", "iterations"]

_Predictions = Mapping[str, Mapping[str, Prediction]]  # by probe and task


@dataclass(frozen=True)
class Evaluation:
    """Scores of one method, and the class probabilities that its probes predict.

    Attributes
    ----------
    scores
        One row per task, metric, probe, fold, donor and seed. `chance` is the score of a
        representation without information; `entropy` the log-loss of the training label shares, in
        bits (empty for a regression); `strength` the selected penalty or weight decay; `inner` the
        mean of the row's metric over training donors, predicted on the inner folds with it; and
        `sensitivity` its lead over the worse neighbour on the grid (empty without one).
        `FIT_COLUMNS` are filled in the first row of each task, metric, probe, fold and seed only.
        The control task `donor` is the accuracy in predicting an observation's donor, for the first
        seed.
    posteriors
        Class probabilities (test rows x classes) for the first seed, times 255 and rounded, with
        keys `<task>/<fold>`, from the probe with the highest likelihood on the inner folds, whose
        name in the scores has the key `<task>/<fold>/probe`.
    """

    scores: pd.DataFrame
    posteriors: dict[str, np.ndarray]


def evaluate(
    name: str,
    paired: PairedDataset,
    tasks: Mapping[str, Task],
    seeds: list[int],
    represent: Representation,
    probe: ProbeConfig,
    estimators: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Fit probes of a representation to every task; return their scores and class probabilities.

    Linear probes are fitted for every seed, with the penalties selected for the first. Nonlinear
    probes are fitted for the first seed only; those of a representation with several blocks also
    with late fusion, one hidden layer per block.

    Parameters
    ----------
    name, represent, seeds
        Name of the method, function that returns its representation, and the seeds to score.
    paired, tasks, probe
        The data set, its tasks by name (without any, only the control task `donor` is scored), and
        the configuration of the probes.
    estimators
        Estimators of scikit-learn that are further probes, by name; posteriors are not of them.

    Raises
    ------
    DataError
        If a representation is not finite or has another number of rows, a task has no labelled
        training row in a fold, or no test row has a label in any task.
    ConfigError
        If the loss of a nonlinear probe is not finite.
    """
    rows: list[dict[str, object]] = []
    posteriors: dict[str, np.ndarray] = {}
    targets = task_targets(paired, tasks)
    for fold in paired.folds:
        evaluator = FoldEvaluator(paired, targets, fold, probe)
        selections: dict[str, Selection] = {}
        for seed in seeds:
            blocks = standardised_blocks(name, represent(fold, seed), paired, fold, seed)
            first = seed == seeds[0]
            predictions = {LINEAR: evaluator.linear(blocks, selections, donor=first)}
            if first:
                predictions |= evaluator.nonlinear(blocks, seed)
                posteriors |= evaluator.posteriors(predictions)
                if estimators:
                    from cell_synergy.downstream.probes import estimator_probes  # noqa: PLC0415 - slow

                    predictions |= estimator_probes.predict(
                        estimators, blocks, evaluator.tasks, seed
                    )
            rows += [row | {"seed": seed} for row in evaluator.scores(predictions)]
    return Evaluation(score_table(name, paired, rows, require_labels=bool(targets)), posteriors)


def standardised_blocks(
    name: str,
    representation: Embedding,
    paired: PairedDataset,
    fold: Fold,
    seed: int,
) -> list[Block]:
    """Return the blocks of a representation with standardised features; constant ones become zero.

    Means and standard deviations are those of the observations in `fold.align` if `paired.mode` is
    `train`, and those of each group of `paired.groups` if it is `donor`.

    Parameters
    ----------
    name, seed
        Name and seed of the method, for messages.
    representation, paired, fold
        A representation with one row per observation of the data set: an array, or one array per
        block; the data set; and the fold.

    Raises
    ------
    DataError
        If the representation has another number of rows, or a standardised value is not finite.
    """
    blocks = []
    for block in as_blocks(representation):
        if block.shape[:-1] != paired.donor.shape:
            raise DataError(
                f"{name}: transform returns an array of shape {block.shape}, not one row for each "
                f"of {len(paired.donor)} observations; correct it"
            )
        blocks.append(standardise(block, fold.align, paired.groups, paired.mode))
        if not np.isfinite(blocks[-1]).all():
            raise DataError(
                f"{name}: the embedding of fold {fold.name!r}, seed {seed} is not finite; "
                "train it again, with a smaller lr"
            )
    return blocks


def probe_name(probe: str, paired: PairedDataset) -> str:
    """Return the name of a probe in score tables; if features are scaled per donor, with a suffix.

    Parameters
    ----------
    probe, paired
        Name of the probe without the suffix, and the data set that it is fitted on.
    """
    return probe + TRANSDUCTIVE if paired.mode == "donor" else probe


def score_table(
    name: str, paired: PairedDataset, rows: list[dict[str, object]], *, require_labels: bool = True
) -> pd.DataFrame:
    """Return the score table of one method: `COLUMNS`, and `remark` if the data set has one.

    Parameters
    ----------
    name, paired, rows
        Name of the method, the data set, and scores as dictionaries with keys among `COLUMNS`.
    require_labels
        Whether to refuse a table without a score of any task other than the control `donor`.

    Raises
    ------
    DataError
        If such a table is refused: no test row has a label.
    """
    source = paired.adata.uns["source"]
    scores = pd.DataFrame(rows, columns=COLUMNS).assign(dataset=source, method=name)
    if require_labels and set(scores["task"]) <= {DONOR}:
        raise DataError(
            f"{name}: no test observation has a label; check `roles` against the labels"
        )
    repeated = scores.duplicated(["task", "metric", "probe", "fold", "seed"])
    scores.loc[repeated, FIT_COLUMNS] = np.nan
    return add_remark(scores, paired.adata.uns)


def baseline_representations(paired: PairedDataset) -> dict[str, Representation]:
    """Return the two embeddings `image` and `expression`, and both as the blocks of `concat`."""
    return {
        "image": lambda fold, _: paired.standardised(fold)[0],
        "expression": lambda fold, _: paired.standardised(fold)[1],
        "concat": lambda fold, _: paired.standardised(fold),
    }


class FoldEvaluator:
    """Probes on one fold: its tasks, predictions of the probes for test rows, and their scores.

    Attributes
    ----------
    tasks
        Target and train/test problem of every task, by name.
    with_control
        `tasks`, and the control task `donor` if the fold trains on several donors.
    """

    def __init__(
        self, paired: PairedDataset, targets: list[Target], fold: Fold, probe: ProbeConfig
    ) -> None:
        self.paired, self.fold, self.probe = paired, fold, probe
        folds = probe.inner_folds
        self.tasks = {}
        for target in targets:
            self.tasks[target.name] = target, make_probe_task(target, fold, paired, folds)
        control = make_donor_task(fold, paired, folds)
        self.with_control = self.tasks | ({DONOR: control} if control else {})

    def linear(
        self, blocks: Sequence[Block], selections: dict[str, Selection], *, donor: bool
    ) -> dict[str, Prediction]:
        """Fit a linear probe per task to training rows; return predictions for test rows by task.

        Parameters
        ----------
        blocks
            Standardised features of all observations.
        selections
            Selected penalty by task. Changed in place: penalties of missing tasks are selected by
            inner cross-validation and added.
        donor
            Whether the control task `donor`, the donor of held-out rows of the training donors, is
            predicted too; it never is if the fold trains on one donor.
        """
        probe, tasks = LinearProbe(blocks, self.probe), self.with_control if donor else self.tasks
        missing = {name: task for name, (_, task) in tasks.items() if name not in selections}
        selections |= zip(missing, probe.select_each([*missing.values()]), strict=True)
        return {name: probe.predict(task, selections[name]) for name, (_, task) in tasks.items()}

    def nonlinear(self, blocks: Sequence[Block], seed: int) -> dict[str, dict[str, Prediction]]:
        """Fit nonlinear probes to training rows; return test predictions by probe, then by task.

        Parameters
        ----------
        blocks, seed
            Standardised features of all observations, and seed of initial weights and batches. With
            several blocks, late fusion is a second probe.
        """
        probe_tasks = [probe_task for _, probe_task in self.tasks.values()]
        kinds = (NONLINEAR, LATE_FUSION) if len(blocks) > 1 else (NONLINEAR,)
        predictions = {}
        for kind in kinds:
            late = kind == LATE_FUSION
            of_tasks = mlp.predict(blocks, probe_tasks, self.probe.mlp, seed, late=late)
            predictions[kind] = dict(zip(self.tasks, of_tasks, strict=True))
        return predictions

    def posteriors(self, predictions: _Predictions) -> dict[str, np.ndarray]:
        """Return `Evaluation.posteriors` of this fold, given the predictions by probe and task."""
        posteriors: dict[str, np.ndarray] = {}
        for name, (target, probe_task) in self.tasks.items():
            if target.classes:
                candidates = {probe: of_tasks[name] for probe, of_tasks in predictions.items()}
                best = max(candidates, key=lambda probe: candidates[probe].selection.cv_score)
                rounded = np.zeros((len(probe_task.test), len(target.classes)), dtype=np.uint8)
                rounded[:, probe_task.present] = np.round(255 * candidates[best].predicted)
                key = f"{name}/{self.fold.name}"
                posteriors[key] = rounded
                posteriors[f"{key}/probe"] = np.array(probe_name(best, self.paired))
        return posteriors

    def scores(self, predictions: _Predictions) -> Iterator[dict[str, object]]:
        """Yield one dictionary per task, metric, probe and test donor that has labels."""
        for probe, of_tasks in predictions.items():
            for name, prediction in of_tasks.items():
                key = {"task": name, "probe": probe_name(probe, self.paired)}
                key |= {"fold": self.fold.name}
                target, probe_task = self.with_control[name]
                score = scorer(target, probe_task, prediction)
                donor, labelled = self.paired.donor, target.labelled
                for row in scores_by_donor(score, probe_task, prediction, donor, labelled):
                    yield key | row
