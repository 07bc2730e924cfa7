"""Each score beside that of the better single modality, and inference on their difference."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.core.names import LATE_FUSION, NONLINEAR
from cell_synergy.scoring.inference import donor_inference

CASE = ["dataset", "task", "metric", "probe"]
INFERENCE_COLUMNS = ["gain_low", "gain_high", "low", "high", "p", "p_corrected"]


def with_reference(scores: pd.DataFrame, unimodal: tuple[str, str]) -> pd.DataFrame:
    """Return one row per case, method, fold and donor: its score and the reference score.

    A case is a data set, task, metric and probe. The reference is the better single modality. Late
    fusion is a probe of both modalities at once: its reference is the better modality under the
    MLP.

    Parameters
    ----------
    scores
        Validated scores; seeds are averaged.
    unimodal
        The two single-modality methods; the one with the higher inner cross-validation score in
        the case is the reference (the first of the two if they tie).

    Returns
    -------
    :
        Columns `dataset, task, metric, probe, fold, donor, method, best, score, best_score`.

    Raises
    ------
    DataError
        If a unimodal method is missing, or methods were not scored on the same donors.
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
    """Average the rows of `with_reference` over the folds of a donor."""
    keys = [*CASE, "method", "best", "donor"]
    return rows.groupby(keys)[["score", "best_score"]].mean().reset_index()


def inference_table(rows: pd.DataFrame, controls: Collection[str]) -> pd.DataFrame:
    """Return intervals and p values from the rows of `with_reference`, one row per case and method.

    Parameters
    ----------
    rows
        Rows of `with_reference`. Donors of a case with several folds count as held out in turn.
    controls
        Methods that are left out of the correction for multiple comparisons.

    Returns
    -------
    :
        Columns of `CASE`, `method`, `INFERENCE_COLUMNS` and `note`.
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
    """Return mean values with the columns `index` as the index and one column per method."""
    return scores.pivot_table(
        index=index, columns="method", values="value", aggfunc="mean", observed=True
    )


def require_complete(missing: pd.DataFrame) -> None:
    """Refuse a table in which a method lacks a row that other methods have.

    Parameters
    ----------
    missing
        Whether a value is missing, one column per method.

    Raises
    ------
    DataError
        If a value is missing; the message names the first method and row.
    """
    rows, columns = np.nonzero(missing.to_numpy())
    if len(rows):
        key = format_key(list(missing.index.names), missing.index[rows[0]])
        raise DataError(
            f"scores: method {missing.columns[columns[0]]!r} has none for {key}, others have; "
            "score every method on the same donors (`dvc repro`)"
        )


def format_key(names: Sequence[Any], values: Iterable[Any]) -> str:
    """Return the key of a table's row for a message: "name value, name value, ..."."""
    return ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))


def _with_reference_of_late_fusion(scores: pd.DataFrame, unimodal: tuple[str, str]) -> pd.DataFrame:
    """Add the unimodal rows of the MLP as the reference of late fusion, where it was scored."""
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
