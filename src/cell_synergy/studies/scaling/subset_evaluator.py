"""Scores of representations that were fitted to a subset of the training pairs, as tidy rows."""

from collections.abc import Iterator, Mapping, Sequence

import anndata as ad
import numpy as np
import pandas as pd

from cell_synergy.core.names import LINEAR
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.remarks import add_remark
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import COLUMNS as SCORE_COLUMNS
from cell_synergy.downstream.evaluate import FIT_COLUMNS, FoldEvaluator
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.feature_blocks import Block
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import Prediction, Target
from cell_synergy.studies.scaling import ALL_LABELS, DRAWN_LABELS, EXPERT, WHOLE
from cell_synergy.studies.scaling.subsets import ScalingConfig, Subset

COLUMNS = [*SCORE_COLUMNS, "labels", "fraction", "draw", "pairs", "labelled", "note", EXPERT]
METRICS = "macro_f1", "balanced_accuracy", "r2", "bits"
_FIT_KEY = ["method", "task", "metric", "fold", "seed", "labels", "fraction", "draw"]

Row = dict[str, object]


class SubsetEvaluator:
    """Evaluation of linear probes on one subset of the training pairs.

    Parameters
    ----------
    paired, task_targets
        The data set, and the target of each task.
    subset
        The subset.
    probe, config
        Configurations of the probes and of the scaling study.

    Attributes
    ----------
    by_labels
        Evaluator of the tasks that have enough labels, by the labels that probes are fitted to:
        those of the subset (`DRAWN_LABELS`), or all training labels (`ALL_LABELS`).
    omitted
        A row for each omitted task, with the reason in `note`.
    """

    def __init__(
        self,
        paired: PairedDataset,
        task_targets: list[Target],
        subset: Subset,
        probe: ProbeConfig,
        config: ScalingConfig,
    ) -> None:
        self.paired, self.subset, self.probe = paired, subset, probe
        self.omitted: list[Row] = []
        self.by_labels: dict[str, FoldEvaluator] = {}
        for labels, fold in ((DRAWN_LABELS, subset.drawn), (ALL_LABELS, subset.labelled)):
            evaluated = [
                target
                for target in task_targets
                if self._is_evaluated(target, labels, fold, config)
            ]
            if evaluated:
                self.by_labels[labels] = FoldEvaluator(paired, evaluated, fold, probe)

    def _is_evaluated(self, target: Target, labels: str, fold: Fold, config: ScalingConfig) -> bool:
        """Return whether there are enough labels of a task; if not, record the reason."""
        labelled = np.flatnonzero(fold.probe & target.labelled)
        note = ""
        if self.subset.pairs < config.pairs:
            note = f"{self.subset.pairs} pairs, {config.pairs} needed"
        elif len(labelled) < config.labels:
            note = f"{len(labelled)} labelled units, {config.labels} needed"
        elif target.classes and len(np.unique(target.codes[labelled])) == 1:
            note = "one class only"
        if note:
            row = {"task": target.name, "fold": fold.name, "labelled": len(labelled), "note": note}
            self.omitted.append(row | self._key(labels))
        return not note

    def _key(self, labels: str) -> Row:
        """Return the columns that identify the subset and the labels."""
        subset = self.subset
        return {
            "labels": labels, "fraction": subset.fraction, "draw": subset.draw,
            "pairs": subset.pairs,
        }  # fmt: skip

    def predict(
        self, labels: str, blocks: Sequence[Block], names: Sequence[str] | None = None
    ) -> dict[str, Prediction]:
        """Standardise features and fit linear probes; return the probes' predictions by task.

        Parameters
        ----------
        labels
            Training labels: `DRAWN_LABELS` or `ALL_LABELS`.
        blocks
            Features of all observations, by block.
        names
            Names of the tasks; None for all that have enough labels.

        Returns
        -------
        :
            Predictions for the test observations, by task; empty if no task has enough labels.
        """
        if labels not in self.by_labels:
            return {}
        evaluator = self.by_labels[labels]
        fit, groups, mode = evaluator.fold.align, self.paired.groups, self.paired.mode
        probe = LinearProbe([standardise(b, fit, groups, mode) for b in blocks], self.probe)
        names = list(evaluator.tasks) if names is None else names
        tasks = [evaluator.tasks[name][1] for name in names]
        selected = zip(tasks, probe.select_each(tasks), strict=True)
        return {n: probe.predict(*chosen) for n, chosen in zip(names, selected, strict=True)}

    def rows(
        self, labels: str, predictions: Mapping[str, Prediction], probe: str = LINEAR
    ) -> Iterator[Row]:
        """Yield the scores of predictions, one dictionary per task, metric and test donor.

        Metrics are those in `METRICS`. The columns `method` and `seed` are missing.

        Parameters
        ----------
        labels
            Labels that the probes were fitted to: `DRAWN_LABELS` or `ALL_LABELS`.
        predictions
            Predictions for the test rows, by task.
        probe
            Name of the probe, written to the rows.
        """
        if predictions:
            evaluator = self.by_labels[labels]
            for row in evaluator.scores({probe: predictions}):
                if row["metric"] in METRICS:
                    task = evaluator.tasks[str(row["task"])][1]
                    noted = {"labelled": len(task.train), "note": ""}
                    yield row | self._key(labels) | noted


def linear_rows(evaluator: SubsetEvaluator, blocks: Sequence[Block]) -> Iterator[Row]:
    """Fit linear probes to the drawn labels and, in draw 0, to all labels; yield their scores.

    Scores are dictionaries as of `SubsetEvaluator.rows`. At 100 % the drawn labels are all labels,
    and one fit gives the scores for both.

    Parameters
    ----------
    evaluator
        Evaluation on one subset.
    blocks
        Features of all observations, by block.
    """
    predictions = evaluator.predict(DRAWN_LABELS, blocks)
    yield from evaluator.rows(DRAWN_LABELS, predictions)
    if evaluator.subset.fraction == WHOLE:
        yield from evaluator.rows(ALL_LABELS, predictions)
    elif evaluator.subset.draw == 0:
        yield from evaluator.rows(ALL_LABELS, evaluator.predict(ALL_LABELS, blocks))


def table(rows: list[Row], adata: ad.AnnData, expert: str) -> pd.DataFrame:
    """Return the score table of the scaling study on one data set.

    The columns are `COLUMNS`, and `remark` if the data set has one; columns of the probe fit are
    filled in the first row of each fit and metric only.

    Parameters
    ----------
    rows
        Scores and omissions of all methods, as `scale` yields them.
    adata
        Observations, whose `uns` has the name and remark of the data set.
    expert
        Name of the expression expert, by which curves of one study can be told to be comparable.
    """
    names = {"dataset": adata.uns["source"], EXPERT: expert}
    scores = pd.DataFrame(rows, columns=COLUMNS).assign(**names)
    scores.loc[scores.duplicated(_FIT_KEY), FIT_COLUMNS] = np.nan
    return add_remark(scores, adata.uns)
