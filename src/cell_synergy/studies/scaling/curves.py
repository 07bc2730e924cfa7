"""Curves of scores over training pairs: intervals over donors, and where two curves cross.

The scores of a donor are averaged over draws (and seeds); then all donors have the same weight. The
intervals are conditional on the draws, whose range is given with each mean. Curves are interpolated
linearly between fractions on a log scale of pairs.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import UNIMODAL
from cell_synergy.scoring.inference import (
    MIN_DONORS,
    donor_interval,
    inflation,
    jackknife_t,
    not_testable,
)
from cell_synergy.studies.scaling import DRAWN_LABELS, TUNED, WHOLE

__all__ = ["TUNED", "better_single", "by_donor", "crossovers", "curves", "left_out", "read"]

CASE = ["dataset", "task", "metric", "labels"]
COMPARED = [
    *CASE, "first", "second", "fraction", "pairs", "difference", "low", "high", "crossing",
    "crossing_low", "crossing_high", "said",
]  # fmt: skip
_NUMBERS = ["seed", "value", "inner", "fraction", "draw", "pairs"]
_NAMES = ["dataset", "method", "task", "metric", "probe", "fold", "donor", "labels", "note"]


def read(scaling: Path, finetune: Path, dataset: str, methods: Sequence[str]) -> pd.DataFrame:
    """Read the scores of some methods, and of the tunable expert, fine-tuned and frozen.

    Parameters
    ----------
    scaling
        Folder with `<dataset>/<method>.csv`. Files of other methods, as of a former focal method,
        are ignored.
    finetune
        Folder with `<dataset>.csv`.
    dataset, methods
        Names of the data set and the methods to read.

    Raises
    ------
    DataError
        If a table is missing.
    """
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
            na_values={"value": "", "inner": "", "seed": ""},
        )
        for p in paths
    ]
    if filled := [table for table in tables if len(table)]:
        return pd.concat(filled, ignore_index=True)
    return tables[0].astype(
        dict.fromkeys(_NUMBERS, float)
    )  # an empty table would have text columns


def left_out(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what was omitted: data set, task, labels, fraction and the reason, once each."""
    columns = ["dataset", "task", "labels", "fraction", "note"]
    return scores.loc[scores["note"] != "", columns].drop_duplicates(ignore_index=True)


def by_donor(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean scores over draws, seeds and folds: a row per donor, a column per fraction."""
    keys = [*CASE, "method", "donor"]
    return scores[scores["note"] == ""].pivot_table("value", keys, "fraction")


def curves(scores: pd.DataFrame) -> pd.DataFrame:
    """Return every method's mean score at every fraction.

    Returns
    -------
    :
        Columns `dataset, task, metric, labels, method, fraction, pairs, score, low, high, least,
        most, draws, donors, note`. `pairs` is the mean over folds; `low, high` the 95 % t interval
        over donors, NaN under five; `least, most` the lowest and highest draw.
    """
    scored = scores[scores["note"] == ""]
    cross_validated = len(set(scored["fold"])) > 1
    curves = []
    for key, rows in scored.groupby([*CASE, "method", "fraction"], sort=False):
        donors = rows.groupby("donor")["value"].mean().to_numpy()[:, None]
        draws = rows.groupby(["draw", "seed"])["value"].mean()
        interval = donor_interval(donors, cross_validated=cross_validated)
        note = "" if len(donors) >= MIN_DONORS else not_testable(len(donors))
        curves.append(
            (*key, rows["pairs"].mean(), donors.mean(), interval.low[0], interval.high[0],
             draws.min(), draws.max(), len(draws), len(donors), note)
        )  # fmt: skip
    columns = [
        *CASE, "method", "fraction", "pairs", "score", "low", "high", "least", "most", "draws",
        "donors", "note",
    ]  # fmt: skip
    return pd.DataFrame(curves, columns=columns)


def crossovers(scores: pd.DataFrame, first: str = TUNED) -> pd.DataFrame:
    """Compare the curve of one method with that of every other method.

    Parameters
    ----------
    scores
        Scores as `read` returns them.
    first
        Name of the method that is compared with all others.

    Returns
    -------
    :
        Columns of `CASE`, `first, second, fraction, pairs, difference, low, high` (first minus
        second, with its 95 % t interval over donors; NaN under five), one row per fraction that
        both have. Every row of a comparison repeats `crossing, crossing_low, crossing_high`, the
        pairs at which the mean difference changes its sign with its 95 % jackknife interval over
        donors, and `said`, the same in words.
    """
    scored = scores[scores["note"] == ""]
    pairs = scored.groupby(["dataset", "fraction"])["pairs"].mean()
    cross_validated = len(set(scored["fold"])) > 1
    table = by_donor(scores).reset_index()
    comparisons: list[dict[Hashable, Any]] = []
    for _, rows in table.groupby(CASE, sort=False):
        case = {str(key): word for key, word in rows[CASE].iloc[0].items()}
        at = pairs.xs(case["dataset"]).sort_index()
        by_method = {str(m): r.set_index("donor")[at.index] for m, r in rows.groupby("method")}
        for second in (name for name in by_method if name != first and first in by_method):
            difference = (by_method[first] - by_method[second]).dropna(axis="columns", how="any")
            key = {**case, "first": first, "second": second, "fraction": difference.columns}
            n_pairs = at[difference.columns].to_numpy()
            comparison = _compare(key, difference, n_pairs, cross_validated=cross_validated)
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


def better_single(scores: pd.DataFrame) -> pd.DataFrame:
    """Return which of the frozen experts `image` and `expression` is better in each task.

    Selected by the score of inner cross-validation on all training pairs, like the reference of
    SIS.

    Returns
    -------
    :
        Columns `dataset, task, method`.
    """
    whole = scores[(scores["labels"] == DRAWN_LABELS) & (scores["fraction"] == WHOLE)]
    inner = whole[whole["method"].isin(UNIMODAL)].dropna(subset=["inner"])
    if inner.empty:
        return pd.DataFrame(columns=["dataset", "task", "method"])
    means = inner.pivot_table("inner", ["dataset", "task"], "method")
    return means.idxmax(axis=1).rename("method").reset_index()


def _signs_change(
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
    nothing = {"crossing": np.nan, "crossing_low": np.nan, "crossing_high": np.nan}
    mean = difference.mean(axis=0)
    if len(pairs) < 2:  # noqa: PLR2004 - a curve needs two points
        return nothing | {"said": "one fraction: no curve"}
    at = _signs_change(mean, pairs)
    if not at:
        above, below = (first, second) if mean.sum() > 0 else (second, first)
        return nothing | {"said": f"{above} is above {below} at every fraction"}
    if len(at) > 1:
        return nothing | {"said": f"the curves cross {len(at)} times"}
    above = first if mean[-1] > 0 else second
    sentence = f"{above} is above from {at[0]:.0f} pairs on"
    without = [
        _signs_change(m, pairs) for m in (difference.sum(0) - difference) / (len(difference) - 1)
    ]
    if len(difference) < MIN_DONORS:
        return nothing | {"crossing": at[0], "said": f"{sentence}; {not_testable(len(difference))}"}
    if undecided := sum(len(crossings) != 1 for crossings in without):
        note = f"{undecided} of {len(without)} donors decide whether curves cross: no interval"
        return nothing | {"crossing": at[0], "said": f"{sentence}; {note}"}
    interval = jackknife_t(np.log(at), np.log(without)).widened(
        np.sqrt(inflation(len(difference), cross_validated=cross_validated))
    )
    low, high = np.exp(interval.low[0]), np.exp(interval.high[0])
    sentence = f"{sentence} ({low:.0f} to {high:.0f})"
    return {"crossing": at[0], "crossing_low": low, "crossing_high": high, "said": sentence}
