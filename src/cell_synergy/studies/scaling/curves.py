"""Curves of scores over training pairs: intervals over donors, and where two curves cross.

Draws (and seeds) of a donor's score are averaged, then donors weigh the same. All is conditional on
the draws; their range stands beside each mean. Curves are straight between fractions on a log
scale of pairs.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import UNIMODAL
from cell_synergy.scoring.inference import LEAST_DONORS, inflation, jackknife_t, paired_t
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
    """Read the rows of some methods, and of the tunable expert, tuned and frozen.

    Parameters
    ----------
    scaling
        Holds `<dataset>/<method>.csv`; those of methods not named (a former focal method's) are
        left alone.
    finetune
        Holds `<dataset>.csv`.
    dataset, methods
        What to read.

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
    return tables[0].astype(dict.fromkeys(_NUMBERS, float))  # they would be words


def left_out(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what was not learnt: data set, task, labels, fraction and the reason, once each."""
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
    known = scores[scores["note"] == ""]
    in_turn = len(set(known["fold"])) > 1
    found = []
    for key, rows in known.groupby([*CASE, "method", "fraction"], sort=False):
        donors = rows.groupby("donor")["value"].mean().to_numpy()[:, None]
        draws = rows.groupby(["draw", "seed"])["value"].mean()
        low, high = _interval(donors, in_turn=in_turn)
        testable = len(donors) >= LEAST_DONORS
        found.append(
            (*key, rows["pairs"].mean(), donors.mean(), low[0], high[0], draws.min(), draws.max(),
             len(draws), len(donors), "" if testable else _untestable(len(donors)))
        )  # fmt: skip
    columns = [
        *CASE, "method", "fraction", "pairs", "score", "low", "high", "least", "most", "draws",
        "donors", "note",
    ]  # fmt: skip
    return pd.DataFrame(found, columns=columns)


def crossovers(scores: pd.DataFrame, first: str = TUNED) -> pd.DataFrame:
    """Compare one method's curve with each other's.

    Returns
    -------
    :
        Columns of `CASE`, `first, second, fraction, pairs, difference, low, high` (first minus
        second, with its 95 % t interval over donors; NaN under five), one row per fraction that
        both have, and the same in each row of a comparison: `crossing, crossing_low,
        crossing_high`, the pairs at which the mean difference changes its sign and its 95 %
        jackknife interval over donors, and `said`, which says so in words.
    """
    known = scores[scores["note"] == ""]
    pairs = known.groupby(["dataset", "fraction"])["pairs"].mean()
    in_turn = len(set(known["fold"])) > 1
    table = by_donor(scores).reset_index()
    found: list[dict[Hashable, Any]] = []
    for _, rows in table.groupby(CASE, sort=False):
        case = {str(key): word for key, word in rows[CASE].iloc[0].items()}
        at = pairs.xs(case["dataset"]).sort_index()
        own = {str(m): r.set_index("donor")[at.index] for m, r in rows.groupby("method")}
        for second in (name for name in own if name != first and first in own):
            both = (own[first] - own[second]).dropna(axis="columns", how="any")
            place = {**case, "first": first, "second": second, "fraction": both.columns}
            part = _compared(place, both, at[both.columns].to_numpy(), in_turn=in_turn)
            found += part.to_dict("records")
    return pd.DataFrame(found, columns=COMPARED)


def _compared(
    place: dict[str, Any],
    both: pd.DataFrame,
    pairs: Float[np.ndarray, " fractions"],
    *,
    in_turn: bool,
) -> pd.DataFrame:
    """Return the rows of one comparison, from the differences of donors at every fraction."""
    low, high = _interval(both.to_numpy(), in_turn=in_turn)
    said = _crossing(place["first"], place["second"], both.to_numpy(), pairs, in_turn=in_turn)
    columns = {"pairs": pairs, "difference": both.mean().to_numpy(), "low": low, "high": high}
    return pd.DataFrame({**place, **columns, **said}, columns=COMPARED)


def better_single(scores: pd.DataFrame) -> pd.DataFrame:
    """Return which of the frozen experts `image` and `expression` is better in each task.

    Chosen by the score on inner folds of all training pairs, as the reference of SIS is.

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
    found, log = [], np.log(pairs)
    for left in np.flatnonzero(difference[:-1] * difference[1:] < 0):
        share = difference[left] / (difference[left] - difference[left + 1])
        found.append(float(np.exp(log[left] + share * (log[left + 1] - log[left]))))
    return found


def _crossing(
    first: str,
    second: str,
    difference: Float[np.ndarray, "donors fractions"],
    pairs: Float[np.ndarray, " fractions"],
    *,
    in_turn: bool,
) -> dict[str, object]:
    """Say whether and where the mean difference changes its sign."""
    nothing = {"crossing": np.nan, "crossing_low": np.nan, "crossing_high": np.nan}
    mean = difference.mean(axis=0)
    if len(pairs) < 2:  # noqa: PLR2004 - a point is no curve
        return nothing | {"said": "one fraction: no curve"}
    at = _signs_change(mean, pairs)
    if not at:
        above, below = (first, second) if mean.sum() > 0 else (second, first)
        return nothing | {"said": f"{above} is above {below} at every fraction"}
    if len(at) > 1:
        return nothing | {"said": f"the curves cross {len(at)} times"}
    above = first if mean[-1] > 0 else second
    said = f"{above} is above from {at[0]:.0f} pairs on"
    without = [
        _signs_change(m, pairs) for m in (difference.sum(0) - difference) / (len(difference) - 1)
    ]
    if len(difference) < LEAST_DONORS:
        return nothing | {"crossing": at[0], "said": f"{said}; {_untestable(len(difference))}"}
    if any(len(own) != 1 for own in without):
        lost = sum(len(own) != 1 for own in without)
        note = f"{lost} of {len(without)} donors decide whether curves cross: no interval"
        return nothing | {"crossing": at[0], "said": f"{said}; {note}"}
    interval = jackknife_t(np.log(at), np.log(without)).widened(
        np.sqrt(inflation(len(difference), in_turn=in_turn))
    )
    low, high = np.exp(interval.low[0]), np.exp(interval.high[0])
    said = f"{said} ({low:.0f} to {high:.0f})"
    return {"crossing": at[0], "crossing_low": low, "crossing_high": high, "said": said}


def _interval(
    values: Float[np.ndarray, "donors columns"], *, in_turn: bool
) -> tuple[Float64[np.ndarray, " columns"], Float64[np.ndarray, " columns"]]:
    """Return t intervals over donors; NaN where they are too few."""
    if len(values) < LEAST_DONORS:
        nothing = np.full(values.shape[1], np.nan)
        return nothing, nothing
    found = paired_t(values).widened(np.sqrt(inflation(len(values), in_turn=in_turn)))
    return found.low, found.high


def _untestable(donors: int) -> str:
    return f"not testable: {donors} donors, {LEAST_DONORS} needed"
