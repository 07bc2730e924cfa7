"""Tidy probe scores, and the gain and SIS of every method, task, metric and probe from them.

A score table has one row per held-out donor and seed, with the columns `dataset, method, task,
metric, probe, fold, donor, seed, value, n, inner, chance, entropy`. `n` counts test observations;
`inner` is the mean score on inner folds of the training donors; `chance` is what a representation
without information scores, and `entropy` that of the donor's labels, in bits, under the training
shares. The tables of this module have two estimands:

    gain = min over both experts of mean over donors of (score - score of the expert)
    SIS = mean over donors of (score - best score) / mean over donors of the best score

In bits of a classification, the gain is divided by the mean entropy over donors: it is usable
information beyond each expert, as a share of the labels' entropy. Verdicts are on the gain. It is
not synergy: joining what either expert alone knows raises it too. SIS is the ratio of the paper;
its best expert is the same for all donors, selected by inner scores.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest
from cell_synergy.core.names import LINEAR
from cell_synergy.scoring._sis_tables import (
    ALL_FOLDS,
    INFERENCE_COLUMNS,
    METRICS,
    sis_by_donor,
    sis_table,
)
from cell_synergy.scoring._validation import COLUMNS, NUMBER_COLUMNS, TEXT_COLUMNS, validated
from cell_synergy.scoring.cases import is_verdict
from cell_synergy.scoring.families import family
from cell_synergy.scoring.reference import CASE, pivot_methods, require_complete

__all__ = [
    "ALL_FOLDS", "COLUMNS", "INFERENCE_COLUMNS", "METRICS", "PAPER_METRICS", "SIGNIFICANCE",
    "by_donor_and_seed", "chance_stars", "headline_rows", "is_verdict", "paper_rows",
    "read_methods", "read_scores", "read_sis", "select_rows", "sis_by_donor", "sis_table",
]  # fmt: skip

PAPER_METRICS = "macro_f1", "r2"  # of the paper's ratio: of classifications, of regressions
SIGNIFICANCE = 0.05  # a star is a corrected p value below it


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
    empty = dict.fromkeys(["sis", "gain", *INFERENCE_COLUMNS], "")
    return pd.read_csv(path, dtype={"fold": str}, keep_default_na=False, na_values=empty)


def headline_rows(table: pd.DataFrame, fold: str | None = None) -> pd.DataFrame:
    """Return the rows of linear probes in the metric of verdicts: bits of classes, R2 of numbers.

    Parameters
    ----------
    table
        Score table or SIS table. A task with rows of R2 is a regression.
    fold
        Fold of the rows, `ALL_FOLDS` for a SIS table's estimate over all folds; None for all rows.
    """
    return _linear_rows(table, is_verdict(table), fold)


def paper_rows(table: pd.DataFrame, fold: str | None = None) -> pd.DataFrame:
    """Return the rows of linear probes in the metric of the paper's ratio: macro F1 or R2.

    Parameters
    ----------
    table
        Score table or SIS table.
    fold
        Fold of the rows, `ALL_FOLDS` for a SIS table's estimate over all folds; None for all rows.
    """
    return _linear_rows(table, table["metric"].isin(PAPER_METRICS), fold)


def chance_stars(table: pd.DataFrame) -> tuple[int, int, float]:
    """Return how many gains have a star, and how many stars chance gives over a whole table.

    A star is a corrected p value below .05. It is corrected within a family of methods
    (`scoring.families`) in a data set, task and probe; over several families nothing is corrected.

    Parameters
    ----------
    table
        SIS table, of any number of data sets.

    Returns
    -------
    :
        Number of stars, number of families with a test, and the expected number of families with a
        star where no method has a gain, at most .05 per family.
    """
    tested = table[table["p_corrected"].notna()]
    stars = int((tested["p_corrected"] < SIGNIFICANCE).sum())
    families = len(tested[CASE].assign(family=tested["method"].map(family)).drop_duplicates())
    return stars, families, SIGNIFICANCE * families


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


def _linear_rows(
    table: pd.DataFrame, selected: "pd.Series[bool]", fold: str | None
) -> pd.DataFrame:
    selected = selected & table["probe"].str.startswith(LINEAR)
    if fold is not None:
        selected &= table["fold"] == fold
    return table[selected]


def _read(path: Path, dataset: str) -> pd.DataFrame:
    table = pd.read_csv(
        path,
        dtype=dict.fromkeys(TEXT_COLUMNS, str),
        keep_default_na=False,
        na_values={column: ["", "nan", "NaN", "NA"] for column in NUMBER_COLUMNS},
    )
    table = validated(table, str(path))
    for column, expected in (("dataset", dataset), ("method", path.stem)):
        mismatched = table.loc[table[column] != expected, column]
        if len(mismatched):
            raise DataError(
                f"{path}: column {column!r} contains {mismatched.iloc[0]!r}, but the path of the "
                f"file says {expected!r}; recompute it with `dvc repro`"
            )
    return table
