"""The verdicts on the paper's claims, from the tables of all data sets."""

import sys
from pathlib import Path

import pandas as pd

import cell_synergy
from cell_synergy.core.config import Config, arguments, load, read_param
from cell_synergy.core.discovery import module_names
from cell_synergy.core.errors import ConfigError, DataError, report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.messages import suggest
from cell_synergy.core.names import UNIMODAL
from cell_synergy.data.label_files import read_task_table
from cell_synergy.data.remarks import copy_remarks
from cell_synergy.scoring.tables import chance_stars, read_methods, read_sis
from cell_synergy.studies.claims.evidence import ClaimsConfig, Tables
from cell_synergy.studies.claims.verdicts import markdown, verdicts
from cell_synergy.studies.scaling import curves


class Args(Config):
    """Folders of tables, and outputs: a table of verdicts and tasks, and the same in Markdown.

    Attributes
    ----------
    sis, scores, information, truth, spectrum, distance, scaling, finetune, trifeature
        Folders of the tables of the stages of these names; `scores` are those of probes, and
        `truth` has the true decompositions of simulated data sets.
    limits
        Table of detection limits of all data sets.
    labels
        Folder of the label files, whose tables of tasks say which data sets are simulated.
    out, summary
        The table of verdicts on claims and of their tasks, and the same in Markdown.
    """

    sis: Path
    scores: Path
    information: Path
    truth: Path
    spectrum: Path
    distance: Path
    scaling: Path
    finetune: Path
    trifeature: Path
    limits: Path
    labels: Path
    out: Path
    summary: Path


def read(path: Path) -> pd.DataFrame:
    """Read one table."""
    if not path.is_file():
        raise DataError(f"{path}: no such table; compute it with `dvc repro`")
    return pd.read_csv(path, dtype={"seed": str, "fold": str})


def tables(args: Args, dataset: str, limits: pd.DataFrame) -> Tables:
    """Read the results on one data set.

    Parameters
    ----------
    args
        Folders of the tables.
    dataset
        Name of the data set.
    limits
        Detection limits of all data sets.
    """
    arms = [read_param("method"), "concat", *UNIMODAL]
    return Tables(
        sis=read_sis(args.sis, dataset),
        information=read(args.information / f"{dataset}.csv"),
        truth=read(args.truth / f"{dataset}.csv"),
        spectrum=read(args.spectrum / f"{dataset}.csv"),
        distance=read(args.distance / f"{dataset}.csv"),
        scores=read_methods(args.scores, dataset, read_param("models")),
        limits=limits[limits["dataset"] == dataset],
        power=float(read_param("limits.power")),
        scaling=curves.read(
            args.scaling, args.finetune, dataset, arms, read_param("scaling.datasets")
        ),
        methods=frozenset(read_param("models")),
    )


def trifeature_scores(folder: Path) -> pd.DataFrame:
    """Read the scores on Trifeature; an empty table if there are none."""
    parts = [read(path) for path in sorted(folder.glob("*.csv"))]
    columns = ["method", "task", "probe", "value", "n", "classes"]
    return pd.concat(parts) if parts else pd.DataFrame(columns=columns)


def main(args: Args) -> None:
    """Read, decide, write."""
    claims = load(ClaimsConfig, "claims")
    methods = [f"{folder}/models" for folder in cell_synergy.__path__]
    valid = {*module_names(methods), *read_param("models")}
    for name in (*claims.aligned, *claims.products, claims.synergy_aware, claims.redundant):
        if name not in valid:  # a method that the study omits is valid
            raise ConfigError(f"claims: no method {name!r}{suggest(name, valid)}")
    limits = read(args.limits)
    by_dataset = {dataset: tables(args, dataset, limits) for dataset in read_param("datasets")}
    task_tables = {name: read_task_table(args.labels, name) for name in by_dataset}
    simulated = {name: table.simulated for name, table in task_tables.items()}
    roles = {name: table.role for name, table in task_tables.items()}
    table = verdicts(by_dataset, simulated, roles, trifeature_scores(args.trifeature), claims)
    table = copy_remarks(table, pd.concat(each.scores for each in by_dataset.values()))
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False)
    stars = chance_stars(pd.concat(each.sis for each in by_dataset.values()))
    with atomic_write(args.summary) as new:
        new.write_text(markdown(table, stars, claims, float(read_param("limits.power"))))


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
