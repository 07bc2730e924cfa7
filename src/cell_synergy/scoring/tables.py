"""Tidy probe scores, and the SIS of every method, task, metric and probe computed from them.

A score table has one row per held-out donor and seed, with the columns `dataset, method, task,
metric, probe, fold, donor, seed, value, n, inner`; nothing in it is averaged. The estimand is

    SIS = mean over donors of (score - best score) / mean over donors of the best score

with the better single modality fixed over donors, and chosen by the score on inner folds of the
training donors (`inner`): choosing it on the scored donors would bias the ratio downwards.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.core.names import CONTROLS, DONOR, UNIMODAL
from cell_synergy.data.remarks import carried
from cell_synergy.scoring.reference import (
    CASE,
    INFERRED,
    by_donor,
    by_method,
    inferred,
    pairs,
    place,
    require_complete,
)

COLUMNS = (
    "dataset",
    "method",
    "task",
    "metric",
    "probe",
    "fold",
    "donor",
    "seed",
    "value",
    "n",
    "inner",
)
METRICS = "macro_f1", "balanced_accuracy", "accuracy", "r2", "pearson", "bits"
ALL_FOLDS = "all"

_NAMES = ["dataset", "method", "task", "metric", "probe", "fold", "donor"]
_KEY = [*_NAMES, "seed"]
_ORDER = ["dataset", "method", "task", "metric", "probe"]
_TABLE = [
    *_ORDER, "fold", "best", "score", "best_score", "gain", "gain_low", "gain_high", "sis", "low",
    "high", "p", "p_corrected", "n_donors", "note",
]  # fmt: skip


def read_scores(folder: Path, dataset: str) -> pd.DataFrame:
    """Read the score tables of one data set, `<folder>/<dataset>/<method>.csv`.

    Raises
    ------
    FileNotFoundError
        If there is no table.
    DataError
        If a table lacks a column, holds another data set or method, the same row twice, or a
        value that is not finite.
    """
    paths = sorted((folder / dataset).glob("*.csv"))
    if not paths:
        known = [path.parent.name for path in folder.glob("*/*.csv")]
        raise FileNotFoundError(
            f"no scores (*.csv) in {folder / dataset}{suggest(dataset, set(known))}: fetch the "
            "published ones with `dvc pull` or compute them with `dvc repro`"
        )
    return pd.concat([_read(path, dataset) for path in paths], ignore_index=True)


def read_methods(folder: Path, dataset: str, methods: Iterable[str]) -> pd.DataFrame:
    """Read the score tables of one data set, which has to be those of `methods` and no others.

    Raises
    ------
    FileNotFoundError
        If a method has no table.
    DataError
        As `read_scores`; or if a table belongs to no method: a stray of a former grid.
    """
    wanted, found = set(methods), {path.stem for path in (folder / dataset).glob("*.csv")}
    if missing := sorted(wanted - found):
        raise FileNotFoundError(
            f"{folder / dataset}: no scores of {', '.join(missing)}; compute them with `dvc repro`"
        )
    if strays := sorted(found - wanted):
        raise DataError(
            f"{folder / dataset}: scores of {', '.join(strays)}, which params.yaml does not name; "
            "delete these files"
        )
    return read_scores(folder, dataset)


def read_sis(folder: Path, dataset: str) -> pd.DataFrame:
    """Read the SIS table of one data set, `<folder>/<dataset>.csv`.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    path = folder / f"{dataset}.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table; compute it with `dvc repro`")
    empty = dict.fromkeys(["sis", *INFERRED], "")
    return pd.read_csv(path, dtype={"fold": str}, keep_default_na=False, na_values=empty)


def choose(scores: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    """Return the rows where `column` is `value`.

    Raises
    ------
    DataError
        If there is none; the message lists the values that exist.
    """
    known = set(scores[column])
    if value not in known:
        raise DataError(f"no {column} {value!r} among the scores{suggest(value, known)}")
    return scores[scores[column] == value]


def by_donor_and_seed(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row per donor and seed, one column per method, averaged over tasks and folds.

    A method without randomness was scored once; its scores stand for every seed.

    Raises
    ------
    DataError
        If the methods were not all scored for the same donors, seeds, tasks and folds.
    """
    wide = by_method(scores, ["donor", "seed", "task", "fold"])
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
    """Return the SIS of every method but the unimodal ones, per task, metric and probe.

    Seeds are averaged within donor and fold, folds within donor, then donors weigh the same.
    Intervals and p values are those of `cell_synergy.scoring.inference`.

    Parameters
    ----------
    scores
        Tidy scores of all methods; metrics other than `METRICS` are left out.
    unimodal
        The two single-modality methods; the one with the larger inner score is the reference
        for every method and fold (the first where they tie). Late fusion has the reference of the
        probe "mlp".
    controls
        Methods that are not among those compared: they have no corrected p, and no other method's
        depends on them.

    Returns
    -------
    :
        Columns `dataset, method, task, metric, probe, fold, best, score, best_score, gain,
        gain_low, gain_high, sis, low, high, p, p_corrected, n_donors, note`; fold "all" is the
        estimate over all donors, followed by one row per fold where there is more than one.
        `gain` is absolute; `gain_low, gain_high` are its 95 % interval over donors, `low, high`
        that of `sis`; `p` is one-sided, `p_corrected` over the methods compared in the case. These
        are NaN for single folds, and for the control `donor`. Whatever else is NaN has its reason
        in `note`: `sis`, where the best unimodal mean is not positive; tests and intervals, where
        donors are too few. What the scores say of their data set follows in a last column `remark`.
        Of no scores, as where a data set has no task, there are no rows.

    Raises
    ------
    DataError
        If the table is incomplete: a unimodal method is missing, or a method was not scored on
        the same donors as the others.
    """
    if scores.empty:
        return pd.DataFrame(columns=_TABLE, dtype=object)
    rows = _pairs(scores, unimodal)
    several = rows.groupby(CASE)["fold"].transform("nunique") > 1
    per_fold = _means(rows[several], [*_ORDER, "fold", "best"])
    overall = _means(by_donor(rows), [*_ORDER, "best"]).assign(fold=ALL_FOLDS)
    overall = overall.merge(inferred(rows, controls), on=_ORDER)
    table = pd.concat([overall, per_fold]).sort_values(_ORDER, kind="stable", ignore_index=True)
    table = _relative(table, table["best_score"])[_TABLE]
    told = table["task"] == DONOR
    table.loc[told, ["sis", *INFERRED]] = np.nan
    table.loc[told, "note"] = "whose tissue a unit is: a control, no task"
    return carried(table, scores)


def sis_by_donor(scores: pd.DataFrame, unimodal: tuple[str, str] = UNIMODAL) -> pd.DataFrame:
    """Return each donor's share in the SIS: its gain over the donors' mean best unimodal score.

    The mean over donors is the SIS of `sis_table` over all folds. Arguments and errors are those
    of `sis_table`.

    Returns
    -------
    :
        Columns `dataset, method, task, metric, probe, donor, best, score, best_score, gain, sis,
        note`.
    """
    columns = [*_ORDER, "donor", "best", "score", "best_score", "gain", "sis", "note"]
    if scores.empty:
        return pd.DataFrame(columns=columns, dtype=object)
    donors = by_donor(_pairs(scores, unimodal))
    scale = donors.groupby([*_ORDER, "best"])["best_score"].transform("mean")
    return carried(_relative(donors, scale)[columns], scores)


def _read(path: Path, dataset: str) -> pd.DataFrame:
    table = pd.read_csv(
        path,
        dtype=dict.fromkeys(_NAMES, str),
        keep_default_na=False,
        na_values={"value": ["", "nan", "NaN", "NA"], "inner": ""},
    )
    _check(table, str(path))
    for column, expected in (("dataset", dataset), ("method", path.stem)):
        strays = table.loc[table[column] != expected, column]
        if len(strays):
            raise DataError(
                f"{path}: column {column!r} says {strays.iloc[0]!r}, the file's place says "
                f"{expected!r}; recompute it with `dvc repro`"
            )
    return table


def _check(scores: pd.DataFrame, where: str) -> None:
    """Refuse a score table with missing columns, empty names, repeated rows or broken values."""
    absent = [column for column in COLUMNS if column not in scores.columns]
    if absent:
        raise DataError(f"{where}: column {absent[0]!r} is missing; a score table has {COLUMNS}")
    faults = {
        "a value that is not finite": ~np.isfinite(scores["value"].to_numpy(dtype=float)),
        "an empty name": scores[_KEY].isna().any(axis=1).to_numpy(),
        "the row twice": scores.duplicated(_KEY).to_numpy(),
    }
    for fault, rows in faults.items():
        if rows.any():
            row = scores.loc[rows, _KEY].iloc[0]
            raise DataError(
                f"{where}: {fault} at {place(_KEY, row.tolist())}; score that unit again"
            )


def _pairs(scores: pd.DataFrame, unimodal: tuple[str, str]) -> pd.DataFrame:
    """Check scores, and return those of `METRICS` beside the best unimodal ones."""
    _check(scores, "scores")
    return pairs(scores[scores["metric"].isin(METRICS)], unimodal)


def _means(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Average donors within `keys` and count them."""
    return (
        rows.groupby(keys)
        .agg(
            score=("score", "mean"),
            best_score=("best_score", "mean"),
            n_donors=("donor", "nunique"),
        )
        .reset_index()
    )


def _relative(table: pd.DataFrame, scale: "pd.Series[float]") -> pd.DataFrame:
    """Add the gain and its ratio to `scale`; where there is none, the reason leads the note."""
    gain = table["score"] - table["best_score"]
    defined = scale > 0
    undefined = defined.map({True: "", False: "best unimodal mean <= 0: no relative gain"})
    note = table["note"].fillna("") if "note" in table else ""
    note = (undefined + "; " + note).str.strip("; ")
    return table.assign(gain=gain, sis=gain / scale.where(defined), note=note)
