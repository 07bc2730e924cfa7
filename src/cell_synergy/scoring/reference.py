"""Scores of methods beside those of both single experts, and inference on their differences."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest
from cell_synergy.core.names import LATE_FUSION, NONLINEAR

CASE = ["dataset", "task", "metric", "probe"]


@dataclass(frozen=True)
class Referenced:
    """Scores of all methods in wide form, and what they stand beside.

    Attributes
    ----------
    scores
        Mean score over seeds: a row for each case (`CASE`), fold and donor, a column per method,
        with those of the experts; NaN for a method that a case was not scored with.
    chance, entropy
        What chance scores in the metric, and the entropy of the donor's labels in bits (NaN for
        regressions), with the rows of `scores`.
    best
        Better expert of each case, by its inner scores in the case's own metric.
    experts
        Names of the two experts.
    """

    scores: pd.DataFrame
    chance: "pd.Series[float]"
    entropy: "pd.Series[float]"
    best: "pd.Series[str]"
    experts: tuple[str, str]

    def mean(self, *keys: str) -> "Referenced":
        """Return the means over the folds of each donor, or over other rows that share `keys`.

        Parameters
        ----------
        keys
            Names of the index levels beside `CASE` that the result has.
        """
        by = [*CASE, *keys]
        return Referenced(
            self.scores.groupby(level=by).mean(),
            self.chance.groupby(level=by).mean(),
            self.entropy.groupby(level=by).mean(),
            self.best,
            self.experts,
        )

    def long(self) -> pd.DataFrame:
        """Return one row per row of `scores` and method that is not an expert.

        Returns
        -------
        :
            The columns of the index, `method, score`, a column `<expert>_score` per expert, `best`,
            `best_score` and `entropy`.
        """
        methods = self.scores.drop(columns=list(self.experts))
        beside = self.scores[list(self.experts)].add_suffix("_score").assign(entropy=self.entropy)
        rows = beside.reset_index().iloc[np.tile(np.arange(len(beside)), methods.shape[1])]
        names = np.repeat(methods.columns.to_numpy(dtype=object), len(beside))
        rows = rows.assign(method=names, score=methods.to_numpy().ravel(order="F"))
        rows = rows.dropna(subset=["score"]).merge(self.best.reset_index(), on=CASE)
        first, second = (f"{name}_score" for name in self.experts)
        is_first = rows["best"] == self.experts[0]
        return rows.assign(best_score=rows[first].where(is_first, rows[second]))


def with_reference(scores: pd.DataFrame, unimodal: tuple[str, str]) -> Referenced:
    """Return scores beside those of both experts, and which expert is the better one in each case.

    A case is a data set, task, metric and probe. The better expert has the higher mean inner
    cross-validation score in the case's own metric (the first in a tie), over all folds: selection
    on the scored donors would bias a comparison with it. Late fusion is a probe of both experts;
    there they are scored with the probe "mlp".

    Parameters
    ----------
    scores
        Score table, validated; seeds are averaged.
    unimodal
        Names of the two experts.

    Raises
    ------
    DataError
        If an expert or one of its inner scores is missing, its probe "mlp" is missing where late
        fusion was scored, or methods were not scored on the same donors.
    """
    if unimodal[0] == unimodal[1]:
        raise DataError(f"both experts are named {unimodal[0]!r}; name two different methods")
    for name in unimodal:
        if name not in set(scores["method"]):
            raise DataError(f"scores: no method {name!r}{suggest(name, set(scores['method']))}")
    scores = _with_reference_of_late_fusion(scores, unimodal)
    keys = [*CASE, "fold", "donor"]
    means = pivot_methods(scores, keys)
    expected = means.notna().groupby(CASE).transform("any")
    expected[list(unimodal)] = True
    require_complete(expected & means.isna())
    of_experts = scores[scores["method"].isin(unimodal)]
    context = of_experts.groupby(keys)[["chance", "entropy"]].mean().reindex(means.index)
    best = _better_expert(of_experts, unimodal)
    return Referenced(means, context["chance"], context["entropy"], best, unimodal)


def _better_expert(of_experts: pd.DataFrame, unimodal: tuple[str, str]) -> "pd.Series[str]":
    """Return the expert with the higher mean inner score in each case."""
    keys = of_experts[CASE].drop_duplicates()
    inner = of_experts.pivot_table(
        index=CASE, columns="method", values="inner", aggfunc="mean", observed=True
    ).reindex(index=pd.MultiIndex.from_frame(keys.sort_values(CASE)), columns=list(unimodal))
    rows, columns = np.nonzero(inner.isna().to_numpy())
    if len(rows):
        where = format_key(CASE, inner.index[rows[0]])
        raise DataError(
            f"scores: column 'inner' has no number for method {unimodal[columns[0]]!r} at {where}; "
            "fill in its mean score on the inner folds of the training donors, by which the better "
            "expert is chosen"
        )
    return inner.idxmax(axis=1).astype(str).rename("best")


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
