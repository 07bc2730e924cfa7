"""Curves of scores over training pairs: intervals over donors, and where two curves cross.

The scores of a donor are averaged over draws and seeds; then all donors have equal weights. The
intervals are conditional on the draws, whose range is given with each mean. Curves are interpolated
linearly in the logarithm of the number of pairs.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import MIN_DONORS
from cell_synergy.scoring.inference import donor_interval, inflation, jackknife_t, not_testable
from cell_synergy.studies.scaling import EXPERT, TUNED

__all__ = ["TUNED", "by_donor", "crossovers", "curves", "left_out", "read"]

CASE = ["dataset", "task", "metric", "labels"]
COMPARED = [
    *CASE, "first", "second", "fraction", "pairs", "difference", "low", "high", "crossing",
    "crossing_low", "crossing_high", "said",
]  # fmt: skip
_NUMBERS = ["seed", "value", "inner", "chance", "entropy", "fraction", "draw", "pairs"]
_NAMES = ["dataset", "method", "task", "metric", "probe", "fold", "donor", "labels", "note", EXPERT]


def read(
    scaling: Path, finetune: Path, dataset: str, methods: Sequence[str], datasets: Sequence[str]
) -> pd.DataFrame:
    """Read the scaling scores of some methods and of the fine-tuned expert.

    Parameters
    ----------
    scaling
        Folder with `<dataset>/<method>.csv`; files of other methods are ignored.
    finetune
        Folder with the fine-tuned expert's `<dataset>.csv`.
    dataset, methods
        Name of the data set, and names of the methods to read.
    datasets
        Names of the data sets on which the scaling study is run; without `dataset` among them the
        table is empty, and files of an earlier study are not read.

    Returns
    -------
    :
        One row per score (columns `COLUMNS` of `cell_synergy.studies.scaling.subset_evaluator`),
        with the fine-tuned expert as method `finetuned`, and the method `prior`, a probe of a
        constant feature; and one row per omission, with the reason in `note` and no score.

    Raises
    ------
    DataError
        If a table is missing.
    """
    if dataset not in datasets:
        return _no_rows()
    names = list(dict.fromkeys(methods))
    paths = [*(scaling / dataset / f"{name}.csv" for name in names), finetune / f"{dataset}.csv"]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: no such scores; compute them with `dvc repro`")
    tables = [
        pd.read_csv(
            p,
            dtype=dict.fromkeys(_NAMES, str),
            keep_default_na=False,
            na_values=dict.fromkeys(_NUMBERS, ""),
        )
        for p in paths
    ]
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else _no_rows()


def _no_rows() -> pd.DataFrame:
    """Return a table of scores without rows."""
    types = dict.fromkeys(_NAMES, object) | dict.fromkeys(_NUMBERS, float)
    return pd.DataFrame(columns=list(types)).astype(types)


def left_out(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the distinct omissions: columns `dataset, task, labels, fraction, note` (reason)."""
    columns = ["dataset", "task", "labels", "fraction", "note"]
    return scores.loc[scores["note"] != "", columns].drop_duplicates(ignore_index=True)


def by_donor(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean scores over draws, seeds and folds, from scores as `read` returns them.

    Returns
    -------
    :
        One row per data set, task, metric, labels, method and donor, which form the index, and one
        column per fraction, in per cent; NaN where a donor has no score.
    """
    keys = [*CASE, "method", "donor"]
    return scores[scores["note"] == ""].pivot_table("value", keys, "fraction")


def curves(scores: pd.DataFrame) -> pd.DataFrame:
    """Return every method's mean score at every fraction, from scores as `read` returns them.

    Returns
    -------
    :
        Columns `dataset, task, metric, labels, method, fraction, pairs, score, low, high, least,
        most, draws, donors, note`. `fraction` is in per cent; `pairs` is the mean number of
        training pairs over folds; `score` the mean over donors, and `low, high` its 95 % t interval
        over donors, NaN with fewer than five, for which `note` gives the reason; `least, most` the
        lowest and highest mean score of one draw and seed; `draws` the number of combinations of
        draw and seed, and `donors` that of donors.
    """
    scored = scores[scores["note"] == ""]
    cross_validated = len(set(scored["fold"])) > 1
    rows_of_curves = []
    for key, rows in scored.groupby([*CASE, "method", "fraction"], sort=False):
        donors = rows.groupby("donor")["value"].mean().to_numpy()[:, None]
        draws = rows.groupby(["draw", "seed"])["value"].mean()
        interval = donor_interval(donors, cross_validated=cross_validated)
        note = "" if len(donors) >= MIN_DONORS else not_testable(len(donors))
        rows_of_curves.append(
            (*key, rows["pairs"].mean(), donors.mean(), interval.low[0], interval.high[0],
             draws.min(), draws.max(), len(draws), len(donors), note)
        )  # fmt: skip
    columns = [
        *CASE, "method", "fraction", "pairs", "score", "low", "high", "least", "most", "draws",
        "donors", "note",
    ]  # fmt: skip
    return pd.DataFrame(rows_of_curves, columns=columns)


def crossovers(scores: pd.DataFrame, first: str = TUNED) -> pd.DataFrame:
    """Compare one method's curve, its mean score by number of training pairs, with all others'.

    Parameters
    ----------
    scores
        Scores as `read` returns them.
    first
        Name of the method that is compared with all others.

    Returns
    -------
    :
        One row per data set, task, metric, labels, second method and fraction (per cent) at which
        both methods have scores of every donor, with the columns `COMPARED`. `difference` is first
        minus second, averaged over donors; `low, high` its 95 % t interval over donors, NaN with
        fewer than five donors. Equal in all rows of a comparison are `crossing`, the number of
        pairs at which the mean difference changes its sign (NaN unless it does so exactly once);
        `crossing_low, crossing_high`, its 95 % jackknife interval over donors, NaN with fewer than
        five donors or if the curves do not cross once without some donor; and `said`, the result in
        words. Empty if `first` has no scores.
    """
    scored = scores[scores["note"] == ""]
    pairs = scored.groupby(["dataset", "fraction"])["pairs"].mean()
    cross_validated = len(set(scored["fold"])) > 1
    table = by_donor(scores).reset_index()
    comparisons: list[dict[Hashable, Any]] = []
    for _, rows in table.groupby(CASE, sort=False):
        case = {str(column): value for column, value in rows[CASE].iloc[0].items()}
        n_pairs = pairs.xs(case["dataset"]).sort_index()
        by_method = {str(m): r.set_index("donor")[n_pairs.index] for m, r in rows.groupby("method")}
        for second in (name for name in by_method if name != first and first in by_method):
            difference = (by_method[first] - by_method[second]).dropna(axis="columns", how="any")
            key = {**case, "first": first, "second": second, "fraction": difference.columns}
            common = n_pairs[difference.columns].to_numpy()
            comparison = _compare(key, difference, common, cross_validated=cross_validated)
            comparisons += comparison.to_dict("records")
    return pd.DataFrame(comparisons, columns=COMPARED)


def _compare(
    key: dict[str, Any],
    difference: pd.DataFrame,
    pairs: Float[np.ndarray, " fractions"],
    *,
    cross_validated: bool,
) -> pd.DataFrame:
    """Return the rows of one comparison, from the differences of donors at every fraction."""
    values = difference.to_numpy()
    interval = donor_interval(values, cross_validated=cross_validated)
    crossing = _crossing(
        key["first"], key["second"], values, pairs, cross_validated=cross_validated
    )
    columns = {
        "pairs": pairs,
        "difference": difference.mean().to_numpy(),
        "low": interval.low,
        "high": interval.high,
    }
    return pd.DataFrame({**key, **columns, **crossing}, columns=COMPARED)


def _sign_changes(
    difference: Float[np.ndarray, " fractions"], pairs: Float[np.ndarray, " fractions"]
) -> list[float]:
    """Return the numbers of pairs at which a curve of differences changes its sign."""
    crossings, log = [], np.log(pairs)
    for left in np.flatnonzero(difference[:-1] * difference[1:] < 0):
        share = difference[left] / (difference[left] - difference[left + 1])
        crossings.append(float(np.exp(log[left] + share * (log[left + 1] - log[left]))))
    return crossings


def _crossing(
    first: str,
    second: str,
    difference: Float[np.ndarray, "donors fractions"],
    pairs: Float[np.ndarray, " fractions"],
    *,
    cross_validated: bool,
) -> dict[str, object]:
    """Return whether and where the mean difference changes its sign, in numbers and in words."""
    no_crossing = {"crossing": np.nan, "crossing_low": np.nan, "crossing_high": np.nan}
    mean = difference.mean(axis=0)
    if len(pairs) < 2:  # noqa: PLR2004 - a curve needs two points
        return no_crossing | {"said": "one fraction: no curve"}
    crossings = _sign_changes(mean, pairs)
    if not crossings:
        above, below = (first, second) if mean.sum() > 0 else (second, first)
        return no_crossing | {"said": f"{above} is above {below} at every fraction"}
    if len(crossings) > 1:
        return no_crossing | {"said": f"the curves cross {len(crossings)} times"}
    estimate = no_crossing | {"crossing": crossings[0]}
    above = first if mean[-1] > 0 else second
    sentence = f"{above} is above from {crossings[0]:.0f} pairs on"
    if len(difference) < MIN_DONORS:
        return estimate | {"said": f"{sentence}; {not_testable(len(difference))}"}
    jackknife_means = (difference.sum(0) - difference) / (len(difference) - 1)
    replicates = [_sign_changes(jackknife_mean, pairs) for jackknife_mean in jackknife_means]
    if undecided := sum(len(replicate) != 1 for replicate in replicates):
        note = f"{undecided} of {len(replicates)} donors decide whether curves cross: no interval"
        return estimate | {"said": f"{sentence}; {note}"}
    interval = jackknife_t(np.log(crossings), np.log(replicates)).widened(
        np.sqrt(inflation(len(difference), cross_validated=cross_validated))
    )
    low, high = np.exp(interval.low[0]), np.exp(interval.high[0])
    sentence = f"{sentence} ({low:.0f} to {high:.0f})"
    return estimate | {"crossing_low": low, "crossing_high": high, "said": sentence}
