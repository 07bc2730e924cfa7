"""Tidy probe scores, and the SIS of every method, task, metric and probe computed from them.

A score table has one row per held-out donor and seed, with the columns `dataset, method, task,
metric, probe, fold, donor, seed, value, n, inner`; `n` counts test observations. The estimand is

    SIS = mean over donors of (score - best score) / mean over donors of the best score

One single modality is the better one for all donors, selected by the inner cross-validation score
on training donors (`inner`): selection on the test donors would bias the ratio downwards.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest
from cell_synergy.core.names import CONTROLS, DONOR, LINEAR, UNIMODAL
from cell_synergy.data.remarks import copy_remarks
from cell_synergy.scoring.reference import (
    CASE,
    INFERENCE_COLUMNS,
    format_key,
    inference_table,
    mean_over_donors,
    mean_over_folds,
    pivot_methods,
    relative_gain,
    require_complete,
    with_reference,
)

COLUMNS = (
    "dataset", "method", "task", "metric", "probe", "fold", "donor", "seed", "value", "n", "inner",
)  # fmt: skip
METRICS = "macro_f1", "balanced_accuracy", "accuracy", "r2", "pearson", "bits"
HEADLINE_METRICS = "macro_f1", "r2"  # for classification and for regression
ALL_FOLDS = "all"

_TEXT_COLUMNS = ["dataset", "method", "task", "metric", "probe", "fold", "donor"]
_ROW_KEY = [*_TEXT_COLUMNS, "seed"]
_SIS_KEY = ["dataset", "method", "task", "metric", "probe"]
_SIS_COLUMNS = [
    *_SIS_KEY, "fold", "best", "score", "best_score", "gain", "gain_low", "gain_high", "sis", "low",
    "high", "p", "p_corrected", "n_donors", "note",
]  # fmt: skip


def read_scores(folder: Path, dataset: str) -> pd.DataFrame:
    """Return the rows of all score tables of one data set, read from its files `<method>.csv`.

    Parameters
    ----------
    folder, dataset
        Folder that has a folder of tables for each data set, and name of the data set.

    Raises
    ------
    FileNotFoundError
        If there is no table.
    DataError
        If a table lacks a column or has rows of another data set or method, or if a row is a
        duplicate or has an empty name or a `value` that is not finite.
    """
    paths = sorted((folder / dataset).glob("*.csv"))
    if not paths:
        available = {path.parent.name for path in folder.glob("*/*.csv")}
        raise FileNotFoundError(
            f"no scores (*.csv) in {folder / dataset}{suggest(dataset, available)}: fetch the "
            "published ones with `dvc pull` or compute them with `dvc repro`"
        )
    return pd.concat([_read(path, dataset) for path in paths], ignore_index=True)


def read_methods(folder: Path, dataset: str, methods: Iterable[str]) -> pd.DataFrame:
    """Return the rows of a data set's score tables; each given method, and no other, must have one.

    Parameters
    ----------
    folder, dataset, methods
        Folder that has a folder of tables for each data set; data set; and names of the methods.

    Raises
    ------
    FileNotFoundError
        If a method has no table.
    DataError
        If another method has a table, or a table is not valid (`read_scores`).
    """
    expected = set(methods)
    present = {path.stem for path in (folder / dataset).glob("*.csv")}
    if missing := sorted(expected - present):
        raise FileNotFoundError(
            f"{folder / dataset}: no scores of {', '.join(missing)}; compute them with `dvc repro`"
        )
    if strays := sorted(present - expected):
        raise DataError(
            f"{folder / dataset}: scores of {', '.join(strays)}, which params.yaml does not name; "
            "delete these files"
        )
    return read_scores(folder, dataset)


def read_sis(folder: Path, dataset: str) -> pd.DataFrame:
    """Return the table of one data set that `sis_table` computed: `<folder>/<dataset>.csv`.

    Parameters
    ----------
    folder, dataset
        Folder of the SIS tables, and name of the data set.

    Raises
    ------
    FileNotFoundError
        If there is no such table.
    """
    path = folder / f"{dataset}.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table; compute it with `dvc repro`")
    empty = dict.fromkeys(["sis", *INFERENCE_COLUMNS], "")
    return pd.read_csv(path, dtype={"fold": str}, keep_default_na=False, na_values=empty)


def headline_rows(table: pd.DataFrame, fold: str | None = None) -> pd.DataFrame:
    """Return the rows of linear probes in the headline metric of each task (macro F1 or R2).

    Parameters
    ----------
    table
        Score table or SIS table.
    fold
        Fold of the rows, `ALL_FOLDS` for a SIS table's estimate over all folds; None for all rows.
    """
    is_headline = table["metric"].isin(HEADLINE_METRICS) & table["probe"].str.startswith(LINEAR)
    if fold is not None:
        is_headline &= table["fold"] == fold
    return table[is_headline]


def select_rows(scores: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    """Return the rows of a score table with a given value in a column.

    Parameters
    ----------
    scores, column, value
        Score table, name of the column, and the value.

    Raises
    ------
    DataError
        If there is no such row.
    """
    available = set(scores[column])
    if value not in available:
        raise DataError(f"no {column} {value!r} among the scores{suggest(value, available)}")
    return scores[scores[column] == value]


def by_donor_and_seed(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean scores over tasks and folds, indexed by donor and seed, one column per method.

    Scores of a deterministic method, which has one seed only, are repeated for the other seeds.

    Raises
    ------
    DataError
        If the methods were not all scored for the same donors, seeds, tasks and folds.
    """
    wide = pivot_methods(scores, ["donor", "seed", "task", "fold"])
    for method in map(str, wide.columns):
        if len(wide[method].dropna().index.unique("seed")) == 1:
            wide[method] = wide.groupby(["donor", "task", "fold"])[method].transform("first")
    require_complete(wide.isna())
    return wide.groupby(["donor", "seed"]).mean()


def sis_table(
    scores: pd.DataFrame,
    unimodal: tuple[str, str] = UNIMODAL,
    controls: Collection[str] = CONTROLS,
) -> pd.DataFrame:
    """Return the SIS of every method but the two single modalities, per task, metric and probe.

    Seeds are averaged within donor and fold, then folds within donor, then donors with equal
    weights. Intervals and p values are those of `cell_synergy.scoring.inference`.

    Parameters
    ----------
    scores
        Score table of all methods; metrics other than `METRICS` are ignored.
    unimodal
        The two single-modality methods. The one with the higher inner cross-validation score (the
        first in a tie) is the reference `best` of every method and fold. The reference of late
        fusion is scored with the probe "mlp".
    controls
        Methods that are left out of the correction of p values; their own `p_corrected` is NaN.

    Returns
    -------
    :
        Columns `dataset, method, task, metric, probe, fold, best, score, best_score, gain,
        gain_low, gain_high, sis, low, high, p, p_corrected, n_donors, note`; fold "all" is the
        estimate over all donors, followed by one row per fold if there are several folds. `gain` is
        `score - best_score`; `gain_low, gain_high` are its 95 % interval over donors, and `low,
        high` that of `sis`; `p` is one-sided, and `p_corrected` is corrected for the methods
        compared in a data set, task, metric and probe. Intervals and p values are NaN for single
        folds; for the control task `donor`, `sis` is NaN too; `note` gives the reason of other NaN.
        Remarks are copied to a last column `remark`. Without scores the table is empty.

    Raises
    ------
    DataError
        If the scores are not valid, a unimodal method or its probe "mlp" is missing, or methods
        were not scored on the same donors.
    """
    if scores.empty:
        return pd.DataFrame(columns=_SIS_COLUMNS, dtype=object)
    rows = _validated_with_reference(scores, unimodal)
    several = rows.groupby(CASE)["fold"].transform("nunique") > 1
    per_fold = mean_over_donors(rows[several], [*_SIS_KEY, "fold", "best"])
    overall = mean_over_donors(mean_over_folds(rows), [*_SIS_KEY, "best"]).assign(fold=ALL_FOLDS)
    overall = overall.merge(inference_table(rows, controls), on=_SIS_KEY)
    table = pd.concat([overall, per_fold]).sort_values(_SIS_KEY, kind="stable", ignore_index=True)
    table = relative_gain(table, table["best_score"])[_SIS_COLUMNS]
    is_control = table["task"] == DONOR
    table.loc[is_control, ["sis", *INFERENCE_COLUMNS]] = np.nan
    table.loc[is_control, "note"] = "whose tissue a unit is: a control, no task"
    return copy_remarks(table, scores)


def sis_by_donor(scores: pd.DataFrame, unimodal: tuple[str, str] = UNIMODAL) -> pd.DataFrame:
    """Return the contribution of each donor to the SIS.

    Parameters
    ----------
    scores, unimodal
        Score table of all methods, and the two single-modality methods.

    Returns
    -------
    :
        Columns `dataset, method, task, metric, probe, donor, best, score, best_score, gain, sis,
        note` as in `sis_table`, but `sis` is `gain` divided by the mean `best_score` over donors.

    Raises
    ------
    DataError
        If scores are not valid, or a single modality or a donor of a method is missing.
    """
    columns = [*_SIS_KEY, "donor", "best", "score", "best_score", "gain", "sis", "note"]
    if scores.empty:
        return pd.DataFrame(columns=columns, dtype=object)
    donors = mean_over_folds(_validated_with_reference(scores, unimodal))
    scale = donors.groupby([*_SIS_KEY, "best"])["best_score"].transform("mean")
    return copy_remarks(relative_gain(donors, scale)[columns], scores)


def _read(path: Path, dataset: str) -> pd.DataFrame:
    table = pd.read_csv(
        path,
        dtype=dict.fromkeys(_TEXT_COLUMNS, str),
        keep_default_na=False,
        na_values={"value": ["", "nan", "NaN", "NA"], "inner": ""},
    )
    _validate(table, str(path))
    for column, expected in (("dataset", dataset), ("method", path.stem)):
        mismatched = table.loc[table[column] != expected, column]
        if len(mismatched):
            raise DataError(
                f"{path}: column {column!r} contains {mismatched.iloc[0]!r}, but the path of the "
                f"file says {expected!r}; recompute it with `dvc repro`"
            )
    return table


def _validate(scores: pd.DataFrame, source: str) -> None:
    """Raise an error for missing columns, empty names, duplicate rows and values not finite."""
    missing = [column for column in COLUMNS if column not in scores.columns]
    if missing:
        raise DataError(f"{source}: column {missing[0]!r} is missing; a score table has {COLUMNS}")
    faults = {
        "a value that is not finite": ~np.isfinite(scores["value"].to_numpy(dtype=float)),
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


def _validated_with_reference(scores: pd.DataFrame, unimodal: tuple[str, str]) -> pd.DataFrame:
    """Validate scores; return those in `METRICS` with reference scores."""
    _validate(scores, "scores")
    return with_reference(scores[scores["metric"].isin(METRICS)], unimodal)
