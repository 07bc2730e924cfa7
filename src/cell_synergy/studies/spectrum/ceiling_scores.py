"""Scores of the best linear reader of the canonical variates, and of the methods beside them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float32

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import CONTROLS, DONOR, LINEAR, UNIMODAL
from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.downstream.evaluate import Asked, Representation, table
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.tasks import goals
from cell_synergy.scoring.inference import LEAST_DONORS, inflation, paired_t, sign_flip

CEILING = "ceiling"  # the canonical variates, as a method in tables
METRICS = "macro_f1", "r2", "bits"
ABOVE, AT, BELOW = "above", "at", "below"

_LEVEL = 0.05


def ceiling_scores(
    paired: PairedDataset, tasks: Mapping[str, Task], variates: Representation, probe: ProbeConfig
) -> pd.DataFrame:
    """Score linear probes of the canonical variates as a method's are scored.

    A data set without a task has no rows.
    """
    rows: list[dict[str, object]] = []
    every = goals(paired, tasks)
    for fold in paired.folds:
        z: Float32[np.ndarray, "obs d"] = standardise(
            variates(fold, 0), fold.align, paired.groups, paired.mode
        )
        asked = Asked(paired, every, fold, probe)
        answers = {LINEAR: asked.linear(z, {}, donor=False)}
        rows += [row | {"seed": 0} for row in asked.scores(answers)]
    return table(CEILING, paired, rows, asked=bool(every))


def compare(ceiling: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return how far each method's linear scores stand from the ceiling's, with intervals.

    Parameters
    ----------
    ceiling
        Of `ceiling_scores`.
    scores
        Tidy scores of all methods.

    Returns
    -------
    :
        One row per task, metric and method: its mean score over donors as `value` (quantity
        `score`, of the ceiling too), and its gain over the ceiling (quantity `over_ceiling`) with a
        paired t interval, p for a gain above 0, corrected over the fusion methods, and a verdict:
        `above` if that p is under 0.05 (of single experts and controls, which are not corrected
        for, if the interval is above 0), `below` if the interval is under 0, else `at`, which is
        "not told apart"; empty under five donors. Without a ceiling there are no rows.
    """
    if ceiling.empty:
        return pd.DataFrame(columns=["task", "metric", "method", "quantity", "value", "note"])
    linear = scores["probe"].str.startswith(LINEAR) & (scores["task"] != DONOR)
    both = pd.concat([ceiling, scores[linear]])
    both = both[both["metric"].isin(METRICS)]
    found = []
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
        case = _case(donors, in_turn=len(rows["fold"].unique()) > 1)
        found.append(case.assign(task=task, metric=metric))
    return pd.concat(found, ignore_index=True)


def _case(rows: pd.DataFrame, in_turn: bool) -> pd.DataFrame:
    methods = rows.columns.drop(CEILING)
    top = rows[CEILING].to_numpy()
    gain = rows[methods].to_numpy() - top[:, None]
    compared = ~methods.isin([*CONTROLS, *UNIMODAL])
    over = pd.DataFrame({"method": methods, "value": gain.mean(axis=0)})
    over[["low", "high", "p_corrected"]] = np.nan
    if len(rows) < LEAST_DONORS:
        over["note"] = f"not testable: {len(rows)} donors, {LEAST_DONORS} needed"
    else:
        more = inflation(len(rows), in_turn=in_turn)
        interval = paired_t(gain).widened(np.sqrt(more))
        over["low"], over["high"] = interval.low, interval.high
        over["p_corrected"] = sign_flip(gain, compared, more).corrected
    above = np.where(compared, over["p_corrected"] < _LEVEL, over["low"] > 0)
    over["verdict"] = np.select(
        [over["low"].isna(), above, over["high"] < 0], ["", ABOVE, BELOW], AT
    )
    means = rows.mean().rename_axis("method").reset_index(name="value")
    named = [over.assign(quantity="over_ceiling"), means.assign(quantity="score")]
    return pd.concat(named).assign(n_donors=len(rows))
