"""Gains and verdicts of a run of the study, as benchmarks that repeat it compare them."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cell_synergy.core.files import atomic_write
from cell_synergy.scoring.tables import ALL_FOLDS, headline_rows, read_sis

CASE = ["dataset", "task", "method"]
GAIN = ["score", "gain", "gain_low", "gain_high", "p_corrected", "n_donors"]
SCALED = ["dataset", "method", "task", "metric", "labels", "fraction", "pairs"]
VERDICT = ["claim", "dataset", "task", "method", "verdict", "value", "limit"]


def gains(results: Path, datasets: Sequence[str]) -> pd.DataFrame:
    """Return the gain of every method on every task, under the linear probe.

    Parameters
    ----------
    results
        Folder of a run's results, with the folder `sis`.
    datasets
        Names of its data sets.

    Returns
    -------
    :
        Columns `CASE` and `GAIN`: bits as a share of the label's entropy, or R2, over all folds.
    """
    tables = [headline_rows(read_sis(results / "sis", name), fold=ALL_FOLDS) for name in datasets]
    table = pd.concat(tables, ignore_index=True)
    return table.sort_values(CASE, kind="stable")[[*CASE, *GAIN]].reset_index(drop=True)


def verdicts(results: Path, datasets: Sequence[str]) -> pd.DataFrame:
    """Return the verdicts on the paper's claims.

    Parameters
    ----------
    results
        Folder of a run's results, with the file `claims.csv`.
    datasets
        Data sets of the run; rows of other sources, such as Trifeature, are left out.
    """
    table = pd.read_csv(results / "claims.csv", keep_default_na=False)
    rows = table["dataset"].isin(datasets) & (table["verdict"] != "")
    return table.loc[rows, VERDICT].reset_index(drop=True)


def scaling_scores(folder: Path) -> pd.DataFrame:
    """Return mean scores of every arm of the scaling study, by fraction of the training pairs.

    Parameters
    ----------
    folder
        Folder with the tables of one of the stages `scaling` and `finetune`, at any depth.

    Returns
    -------
    :
        Columns `SCALED`, `value` (mean over draws of the mean over test donors) and `spread` (its
        standard deviation between draws; empty for one draw).
    """
    table = pd.concat(map(pd.read_csv, sorted(folder.rglob("*.csv"))), ignore_index=True)
    table = table[table["metric"].isin(["bits", "macro_f1", "r2"])]
    of_draw = table.groupby([*SCALED, "draw"], sort=False)["value"].mean()
    groups = of_draw.groupby(SCALED, sort=False)
    return groups.agg(value="mean", spread="std").reset_index()


def write(out: Path, **tables: pd.DataFrame) -> None:
    """Write tables to a folder, each under its name.

    Parameters
    ----------
    out
        The folder, which is replaced.
    tables
        Tables by name.
    """
    with atomic_write(out) as folder:
        folder.mkdir()
        for name, table in tables.items():
            table.to_csv(folder / f"{name}.csv", index=False, float_format="%.4g")
