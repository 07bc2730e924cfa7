"""Scores of linear probes of the canonical variates, and comparison of all methods with them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import DONOR, LINEAR, MIN_DONORS
from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.downstream.evaluate import (
    FoldEvaluator,
    Representation,
    score_table,
    standardised_blocks,
)
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.tasks import task_targets
from cell_synergy.scoring.families import NO_FAMILY, corrected_within, family
from cell_synergy.scoring.inference import donor_interval, inflation, not_testable, sign_flip

CEILING = "ceiling"  # name of the canonical variates in the column `method`
METRICS = "macro_f1", "balanced_accuracy", "r2", "bits"
ABOVE, AT, BELOW = "above", "at", "below"

_SIGNIFICANCE = 0.05


def ceiling_scores(
    paired: PairedDataset, tasks: Mapping[str, Task], variates: Representation, probe: ProbeConfig
) -> pd.DataFrame:
    """Return the scores of linear probes of the canonical variates.

    Parameters
    ----------
    paired, tasks
        The data set, and its tasks by name.
    variates
        Function from fold and seed to the canonical variates of all observations.
    probe
        Configuration of the probes.

    Returns
    -------
    :
        Score table as `cell_synergy.downstream.evaluate.score_table` returns it, with `ceiling` in
        the column `method`: one row per task, metric and test donor. Without a task it is empty.

    Raises
    ------
    DataError
        If a task has no labelled training observation in a fold, or no test observation has a label
        of any task.
    """
    rows: list[dict[str, object]] = []
    targets = task_targets(paired, tasks)
    for fold in paired.folds:
        blocks = standardised_blocks(CEILING, variates(fold, 0), paired, fold, 0)
        evaluator = FoldEvaluator(paired, targets, fold, probe)
        predictions = {LINEAR: evaluator.linear(blocks, {}, donor=False)}
        rows += [row | {"seed": 0} for row in evaluator.scores(predictions)]
    return score_table(CEILING, paired, rows, require_labels=bool(targets))


def compare(ceiling: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean linear scores of methods and ceiling, and each method's gain over the ceiling.

    Parameters
    ----------
    ceiling
        Scores of the canonical variates, as `ceiling_scores` returns them.
    scores
        Tidy scores of all methods, of any probe; those of linear probes are compared.

    Returns
    -------
    :
        One row per task, metric, method and `quantity`. The `value` of the quantity `score` is the
        mean score over the `n_donors` donors, also of the ceiling. That of `over_ceiling` is the
        mean gain over the ceiling, with its 95 % t interval `low, high`; the one-sided p value
        `p_corrected` of a gain above 0, corrected within families of methods
        (`scoring.families`); and a `verdict`: `above`
        if this p value is below 0.05 (for single experts and controls, which have no corrected p
        value: if the interval is above 0), `below` if the interval is below 0, else `at`, no
        significant difference. With fewer than five donors, interval and verdict are empty and
        `note` gives the reason. Without ceiling scores there are no rows.

    Raises
    ------
    DataError
        If methods were not scored on the same donors.
    """
    if ceiling.empty:
        return pd.DataFrame(columns=["task", "metric", "method", "quantity", "value", "note"])
    linear = scores["probe"].str.startswith(LINEAR) & (scores["task"] != DONOR)
    both = pd.concat([ceiling, scores[linear]])
    both = both[both["metric"].isin(METRICS)]
    parts = []
    for task, metric in both[["task", "metric"]].drop_duplicates().itertuples(index=False):
        rows = both[(both["task"] == task) & (both["metric"] == metric)]
        by_fold = rows.groupby(["method", "fold", "donor"])["value"].mean()
        means = by_fold.groupby(["method", "donor"]).mean().reset_index()
        donors = means.pivot_table(index="donor", columns="method", values="value")
        if donors.isna().to_numpy().any() or CEILING not in donors:
            raise DataError(
                f"scores: not the same donors for every method at task {task}, metric {metric}; "
                "compute them again with `dvc repro`"
            )
        case = _compare_case(donors, cross_validated=len(rows["fold"].unique()) > 1)
        parts.append(case.assign(task=task, metric=metric))
    return pd.concat(parts, ignore_index=True)


def _compare_case(scores: pd.DataFrame, cross_validated: bool) -> pd.DataFrame:
    """Return the rows of one task and metric, from scores by donor (rows) and method (columns)."""
    methods = scores.columns.drop(CEILING)
    ceiling = scores[CEILING].to_numpy()
    gain = scores[methods].to_numpy() - ceiling[:, None]
    families = [family(str(name)) for name in methods]
    compared = np.array(families) != NO_FAMILY
    gains = pd.DataFrame({"method": methods, "value": gain.mean(axis=0)})
    interval = donor_interval(gain, cross_validated=cross_validated)
    gains["low"], gains["high"], gains["p_corrected"] = interval.low, interval.high, np.nan
    if len(scores) < MIN_DONORS:
        gains["note"] = not_testable(len(scores))
    else:
        variance_factor = inflation(len(scores), cross_validated=cross_validated)
        p = corrected_within(families, lambda mask: sign_flip(gain, mask, variance_factor))
        gains["p_corrected"] = p.corrected
    above = np.where(compared, gains["p_corrected"] < _SIGNIFICANCE, gains["low"] > 0)
    gains["verdict"] = np.select(
        [gains["low"].isna(), above, gains["high"] < 0], ["", ABOVE, BELOW], AT
    )
    means = scores.mean().rename_axis("method").reset_index(name="value")
    parts = [gains.assign(quantity="over_ceiling"), means.assign(quantity="score")]
    return pd.concat(parts).assign(n_donors=len(scores))
