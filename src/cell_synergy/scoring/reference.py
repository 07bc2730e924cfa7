"""Scores joined with the better single modality's score, and inference on the difference."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest
from cell_synergy.core.names import LATE_FUSION, NONLINEAR
from cell_synergy.scoring.inference import donor_inference

CASE = ["dataset", "task", "metric", "probe"]
INFERENCE_COLUMNS = ["gain_low", "gain_high", "low", "high", "p", "p_corrected"]


def with_reference(scores: pd.DataFrame, unimodal: tuple[str, str]) -> pd.DataFrame:
    """Return each method's score and the reference score, one row per case, method, fold and donor.

    A case is a data set, task, metric and probe. The reference score is that of the better single
    modality. Late fusion is a probe of both modalities; its reference is scored with the probe
    "mlp".

    Parameters
    ----------
    scores
        Score table, validated; seeds are averaged.
    unimodal
        The two single-modality methods, which have no rows of their own; the better one in a case
        has the higher mean inner cross-validation score (the first in a tie).

    Returns
    -------
    :
        Columns `dataset, task, metric, probe, fold, donor, method, best, score, best_score`; `best`
        is the better single modality.

    Raises
    ------
    DataError
        If a unimodal method is missing, its probe "mlp" is missing where late fusion was scored, or
        methods were not scored on the same donors.
    """
    for name in unimodal:
        if name not in set(scores["method"]):
            raise DataError(f"scores: no method {name!r}{suggest(name, set(scores['method']))}")
    scores = _with_reference_of_late_fusion(scores, unimodal)
    means = pivot_methods(scores, [*CASE, "fold", "donor"])
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


def mean_over_folds(rows: pd.DataFrame) -> pd.DataFrame:
    """Average the rows of `with_reference` over the folds of each donor.

    Returns
    -------
    :
        Columns `dataset, task, metric, probe, method, best, donor, score, best_score`.
    """
    keys = [*CASE, "method", "best", "donor"]
    return rows.groupby(keys)[["score", "best_score"]].mean().reset_index()


def mean_over_donors(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Average scores and reference scores over donors.

    Parameters
    ----------
    rows
        Rows of `with_reference` or `mean_over_folds`.
    keys
        Columns by which rows are grouped.

    Returns
    -------
    :
        One row per group: `keys`, the means `score` and `best_score`, and the number of donors,
        `n_donors`.
    """
    return (
        rows.groupby(keys)
        .agg(
            score=("score", "mean"),
            best_score=("best_score", "mean"),
            n_donors=("donor", "nunique"),
        )
        .reset_index()
    )


def relative_gain(table: pd.DataFrame, scale: "pd.Series[float]") -> pd.DataFrame:
    """Return a table with the gain over the reference score and its ratio to a scale.

    Parameters
    ----------
    table
        Table with the columns `score` and `best_score`, and optionally `note`.
    scale
        Divisor of the gain of each row, with the index of `table`.

    Returns
    -------
    :
        `table` with the columns `gain`, which is `score - best_score`; `sis`, the gain divided by
        the scale, NaN where the scale is not positive; and `note`, which then begins with the
        reason of the NaN.
    """
    gain = table["score"] - table["best_score"]
    defined = scale > 0
    undefined = defined.map({True: "", False: "best unimodal mean <= 0: no relative gain"})
    note = table["note"].fillna("") if "note" in table else ""
    note = (undefined + "; " + note).str.strip("; ")
    return table.assign(gain=gain, sis=gain / scale.where(defined), note=note)


def inference_table(rows: pd.DataFrame, controls: Collection[str]) -> pd.DataFrame:
    """Return intervals and p values of the gain, one row per case and method.

    Parameters
    ----------
    rows
        Rows of `with_reference`. A case with several folds is cross-validated over donors.
    controls
        Methods that are left out of the correction for multiple comparisons.

    Returns
    -------
    :
        Columns `dataset, task, metric, probe, method`; `gain_low, gain_high`, the 95 % interval of
        the mean gain over donors; `low, high`, that of the ratio of the mean gain to the mean
        reference score; `p`, the one-sided p value of a gain above zero; `p_corrected`, corrected
        for multiple comparisons, NaN for `controls`; and `note`, the reason of any other NaN.
    """
    donors = mean_over_folds(rows)
    keys = [*CASE, "donor"]
    scores = donors.pivot_table("score", index=keys, columns="method")
    references = donors.groupby(keys)["best_score"].first()
    cases = zip(
        scores.sub(references, axis=0).groupby(CASE),
        references.groupby(CASE),
        rows.groupby(CASE)["fold"].nunique().tolist(),
        strict=True,
    )
    parts = []
    for (_, gains), (_, reference), folds in cases:
        gain = gains.dropna(axis="columns")
        compared = ~gain.columns.isin(list(controls))
        result = donor_inference(
            gain.to_numpy(), reference.to_numpy(), compared, cross_validated=folds > 1
        )
        values = (
            result.gain.low, result.gain.high, result.ratio.low, result.ratio.high,
            result.p.uncorrected, result.p.corrected,
        )  # fmt: skip
        columns = dict(zip(INFERENCE_COLUMNS, values, strict=True))
        columns |= dict(zip(CASE, gain.index[0], strict=False))
        parts.append(pd.DataFrame({"method": gain.columns, **columns, "note": result.notes}))
    return pd.concat(parts)


def pivot_methods(scores: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    """Return a table of mean scores with one column per method.

    Parameters
    ----------
    scores
        Score table.
    index
        Columns of `scores` that form the index of the result; scores of equal values in them are
        averaged. A combination of values that a method was not scored for is NaN.
    """
    return scores.pivot_table(
        index=index, columns="method", values="value", aggfunc="mean", observed=True
    )


def require_complete(missing: pd.DataFrame) -> None:
    """Raise an error if a method lacks a score that other methods have.

    Parameters
    ----------
    missing
        Mask of missing scores, one column per method; values and names of its index identify a row
        in the message.

    Raises
    ------
    DataError
        If a score is missing; the message names the first row and method.
    """
    rows, columns = np.nonzero(missing.to_numpy())
    if len(rows):
        key = format_key(list(missing.index.names), missing.index[rows[0]])
        raise DataError(
            f"scores: method {missing.columns[columns[0]]!r} has none for {key}, others have; "
            "score every method on the same donors (`dvc repro`)"
        )


def format_key(names: Sequence[Any], values: Iterable[Any]) -> str:
    """Return the key of a row as text for a message: "name value, name value, ...".

    Parameters
    ----------
    names, values
        Names of the key columns, and their values in the row.
    """
    return ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))


def _with_reference_of_late_fusion(scores: pd.DataFrame, unimodal: tuple[str, str]) -> pd.DataFrame:
    """Add the unimodal scores of the probe "mlp" as references of late fusion, if it was scored."""
    fused = scores.loc[scores["probe"].str.startswith(LATE_FUSION), CASE].drop_duplicates()
    if fused.empty:
        return scores
    mlp_cases = fused.assign(probe=fused["probe"].str.replace(LATE_FUSION, NONLINEAR, n=1))
    references = scores[scores["method"].isin(unimodal)].merge(mlp_cases, on=CASE)
    scored = references[CASE].drop_duplicates()
    merged = mlp_cases.merge(scored, how="left", indicator="status")
    missing = merged[merged["status"] == "left_only"]
    if len(missing):
        raise DataError(
            f"scores: late fusion needs those of {unimodal[0]} and {unimodal[1]} for "
            f"{format_key(CASE, missing[CASE].iloc[0])}; score them with this probe"
        )
    probe = references["probe"].str.replace(NONLINEAR, LATE_FUSION, n=1)
    return pd.concat([scores, references.assign(probe=probe)], ignore_index=True)
