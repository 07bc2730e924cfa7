"""Scores beside those of the better single modality, and what the donors say of the difference."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.core.names import LATE_FUSION, NONLINEAR
from cell_synergy.scoring.inference import infer

CASE = ["dataset", "task", "metric", "probe"]
INFERRED = ["gain_low", "gain_high", "low", "high", "p", "p_corrected"]


def pairs(scores: pd.DataFrame, unimodal: tuple[str, str]) -> pd.DataFrame:
    """Return one row per case, method, fold and donor: its score beside the best unimodal one.

    A case is a data set, task, metric and probe. Late fusion is a probe on both modalities at once:
    its reference is the better modality under the MLP.

    Parameters
    ----------
    scores
        Checked scores; seeds are averaged.
    unimodal
        The two single-modality methods; of these the one with the larger inner score in the case
        is the best (the first where they tie).

    Returns
    -------
    :
        Columns `dataset, task, metric, probe, fold, donor, method, best, score, best_score`.

    Raises
    ------
    DataError
        If a unimodal method is missing, or a method was not scored on the same donors as others.
    """
    for name in unimodal:
        if name not in set(scores["method"]):
            raise DataError(f"scores: no method {name!r}{suggest(name, set(scores['method']))}")
    scores = _with_reference_of_late_fusion(scores, unimodal)
    means = by_method(scores, [*CASE, "fold", "donor"])
    first, second = unimodal
    expected = means.notna().groupby(CASE).transform("any")
    expected[[first, second]] = True
    require_complete(expected & means.isna())
    inner = scores.pivot_table(index=CASE, columns="method", values="inner", observed=True)
    best = inner[[first, second]].idxmax(axis=1).rename("best").reset_index()
    rows = means.reset_index().melt(
        [*CASE, "fold", "donor", first, second], var_name="method", value_name="score"
    )
    rows = rows.dropna(subset=["score"]).merge(best, on=CASE)
    rows["best_score"] = rows[first].where(rows["best"] == first, rows[second])
    return rows.drop(columns=[first, second])


def by_donor(rows: pd.DataFrame) -> pd.DataFrame:
    """Average the folds of a donor in the rows of `pairs`."""
    keys = [*CASE, "method", "best", "donor"]
    return rows.groupby(keys)[["score", "best_score"]].mean().reset_index()


def inferred(rows: pd.DataFrame, controls: Collection[str]) -> pd.DataFrame:
    """Return intervals and p values from the rows of `pairs`, one row per case and method.

    Parameters
    ----------
    rows
        Where a case has several folds, its donors are taken to be held out in turn.
    controls
        Methods that are not among those compared.

    Returns
    -------
    :
        Columns of `CASE`, `method`, `INFERRED` and `note`.
    """
    donors = by_donor(rows)
    keys = [*CASE, "donor"]
    scores = donors.pivot_table("score", index=keys, columns="method")
    best = donors.groupby(keys)["best_score"].first()
    cases = zip(
        scores.sub(best, axis=0).groupby(CASE),
        best.groupby(CASE),
        rows.groupby(CASE)["fold"].nunique().tolist(),
        strict=True,
    )
    found = []
    for (_, every), (_, top), folds in cases:
        gain = every.dropna(axis="columns")
        compared = ~gain.columns.isin(list(controls))
        said = infer(gain.to_numpy(), top.to_numpy(), compared, in_turn=folds > 1)
        values = (
            said.gain.low, said.gain.high, said.ratio.low, said.ratio.high,
            said.p.single, said.p.corrected,
        )  # fmt: skip
        columns = dict(zip(INFERRED, values, strict=True))
        columns |= dict(zip(CASE, gain.index[0], strict=False))
        found.append(pd.DataFrame({"method": gain.columns, **columns, "note": said.notes}))
    return pd.concat(found)


def by_method(scores: pd.DataFrame, rows: list[str]) -> pd.DataFrame:
    """Return mean values with one column per method."""
    return scores.pivot_table(
        index=rows, columns="method", values="value", aggfunc="mean", observed=True
    )


def require_complete(missing: pd.DataFrame) -> None:
    """Refuse a table in which a method lacks a row that others have.

    Raises
    ------
    DataError
        Names the first method and row where `missing` is true.
    """
    rows, columns = np.nonzero(missing.to_numpy())
    if len(rows):
        where = place(list(missing.index.names), missing.index[rows[0]])
        raise DataError(
            f"scores: method {missing.columns[columns[0]]!r} has none for {where}, others have; "
            "score every method on the same donors (`dvc repro`)"
        )


def place(names: Sequence[Any], values: Iterable[Any]) -> str:
    """Return "name value, name value, ..." for a message."""
    return ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))


def _with_reference_of_late_fusion(scores: pd.DataFrame, unimodal: tuple[str, str]) -> pd.DataFrame:
    """Repeat the MLP's unimodal rows as the reference of late fusion, in the cases that have it."""
    fused = scores.loc[scores["probe"].str.startswith(LATE_FUSION), CASE].drop_duplicates()
    if fused.empty:
        return scores
    under_mlp = fused.assign(probe=fused["probe"].str.replace(LATE_FUSION, NONLINEAR, n=1))
    lent = scores[scores["method"].isin(unimodal)].merge(under_mlp, on=CASE)
    known = under_mlp.merge(lent[CASE].drop_duplicates(), how="left", indicator="known")
    absent = known[known["known"] == "left_only"]
    if len(absent):
        raise DataError(
            f"scores: late fusion needs those of {unimodal[0]} and {unimodal[1]} for "
            f"{place(CASE, absent[CASE].iloc[0])}; score them with this probe"
        )
    probe = lent["probe"].str.replace(NONLINEAR, LATE_FUSION, n=1)
    return pd.concat([scores, lent.assign(probe=probe)], ignore_index=True)
