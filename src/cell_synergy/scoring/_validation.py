"""Checks of score tables: each fault is one sentence that says where it is and what to do."""

import numpy as np
import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import DONOR, UNIMODAL
from cell_synergy.scoring.cases import is_verdict
from cell_synergy.scoring.reference import CASE, format_key

COLUMNS = (
    "dataset", "method", "task", "metric", "probe", "fold", "donor", "seed", "value", "n", "inner",
    "chance", "entropy",
)  # fmt: skip
TEXT_COLUMNS = ["dataset", "method", "task", "metric", "probe", "fold", "donor"]
NUMBER_COLUMNS = ["value", "inner", "chance", "entropy"]

_ROW_KEY = [*TEXT_COLUMNS, "seed"]
_MEANING = {
    "value": "the score",
    "inner": "the mean score on the inner folds of the training donors",
    "chance": "what a representation without information scores: 0 in bits, r2 and pearson, "
    "1 / classes in balanced_accuracy and macro_f1, the share of the most frequent training class "
    "in accuracy",
    "entropy": "for classifications the mean of -log2 of the training share of each test label, "
    "for regressions nothing",
}


def validated(scores: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return a score table with numbers in its number columns and text in its text columns.

    Parameters
    ----------
    scores, source
        Score table, and where it comes from, for messages.

    Raises
    ------
    DataError
        For a missing column, text instead of a number, an empty name, a duplicate row, or a value
        that is not finite.
    """
    for column in COLUMNS:
        if column not in scores.columns:
            meaning = f" ({_MEANING[column]})" if column in _MEANING else ""
            raise DataError(
                f"{source}: column {column!r} is missing; add it{meaning}, or compute the scores "
                "again"
            )
    scores = scores.assign(**{name: _numbers(scores, name, source) for name in NUMBER_COLUMNS})
    faults = {
        "a value that is not finite": ~np.isfinite(scores["value"].to_numpy()),
        "an empty name": scores[_ROW_KEY].isna().any(axis=1).to_numpy(),
        "a duplicate row": scores.duplicated(_ROW_KEY).to_numpy(),
    }
    for fault, rows in faults.items():
        if rows.any():
            row = scores.loc[rows, _ROW_KEY].iloc[0]
            raise DataError(
                f"{source}: {fault} at {format_key(_ROW_KEY, row.tolist())}; compute the scores "
                "of this method again"
            )
    return scores.astype(dict.fromkeys(TEXT_COLUMNS, str))


def require_context(scores: pd.DataFrame, unimodal: tuple[str, str] = UNIMODAL) -> None:
    """Raise an error if the rows of an expert do not say what chance scores, or the entropy.

    Parameters
    ----------
    scores, unimodal
        Score table, and the names of the two experts. A task with rows of R2 is a regression and
        needs no entropy; the control task `donor` needs neither.

    Raises
    ------
    DataError
        If a number is missing, or an entropy is not positive.
    """
    rows = scores[scores["method"].isin(unimodal) & (scores["task"] != DONOR)]
    in_bits = is_verdict(rows) & (rows["metric"] == "bits")
    faults = {"chance": ~np.isfinite(rows["chance"]), "entropy": in_bits & ~(rows["entropy"] > 0)}
    for column, missing in faults.items():
        if missing.any():
            row = rows.loc[missing].iloc[0]
            where = format_key(["method", *CASE, "donor"], row[["method", *CASE, "donor"]])
            content = "is empty" if pd.isna(row[column]) else f"contains {row[column]:g}"
            raise DataError(
                f"scores: column {column!r} {content} at {where}; fill in {_MEANING[column]}, or "
                "compute the scores again"
            )


def _numbers(scores: pd.DataFrame, column: str, source: str) -> "pd.Series[float]":
    """Return a column as numbers; empty cells are NaN."""
    numbers = pd.to_numeric(scores[column], errors="coerce")
    text = numbers.isna() & scores[column].notna()
    if text.any():
        row = scores.loc[text].iloc[0]
        key = ["method", *CASE, "donor"]
        raise DataError(
            f"{source}: column {column!r} contains {row[column]!r}, which is no number, at "
            f"{format_key(key, row[key])}; write {_MEANING[column]}"
        )
    return numbers.astype(float)
