"""The verdicts on the paper's claims, from the tables of all data sets."""

import sys
from pathlib import Path

import pandas as pd

from cell_synergy import models
from cell_synergy.core.config import Config, arguments, load, section, suggest, value
from cell_synergy.core.errors import ConfigError, DataError, reported
from cell_synergy.core.files import atomic
from cell_synergy.data.remarks import carried
from cell_synergy.scoring.tables import read_methods, read_sis
from cell_synergy.studies.claims.evidence import ClaimsConfig, Tables
from cell_synergy.studies.claims.verdicts import markdown, verdicts
from cell_synergy.studies.scaling import curves


class Args(Config):
    """Folders of tables, and outputs: a table, and the verdicts alone in Markdown."""

    sis: Path
    scores: Path
    information: Path
    spectrum: Path
    distance: Path
    scaling: Path
    finetune: Path
    trifeature: Path
    out: Path
    summary: Path


def read(path: Path) -> pd.DataFrame:
    """Read one table."""
    if not path.is_file():
        raise DataError(f"{path}: no such table; compute it with `dvc repro`")
    return pd.read_csv(path, dtype={"seed": str, "fold": str})


def tables(args: Args, dataset: str) -> Tables:
    """Read what was found on one data set."""
    return Tables(
        sis=read_sis(args.sis, dataset),
        information=read(args.information / f"{dataset}.csv"),
        spectrum=read(args.spectrum / f"{dataset}.csv"),
        distance=read(args.distance / f"{dataset}.csv"),
        scores=read_methods(args.scores, dataset, value("models")),
        scaling=curves.read(args.scaling, args.finetune, dataset, [value("method"), "concat"]),
        methods=frozenset(value("models")),
    )


def drawn(folder: Path) -> pd.DataFrame:
    """Read Trifeature's scores, of which there may be none."""
    parts = [read(path) for path in sorted(folder.glob("*.csv"))]
    columns = ["method", "task", "probe", "value", "n", "classes"]
    return pd.concat(parts) if parts else pd.DataFrame(columns=columns)


def main(args: Args) -> None:
    """Read, judge, write."""
    claims, known = load(ClaimsConfig, "claims"), {*models.names(), *value("models")}
    for name in (*claims.aligned, claims.synergy_aware, claims.redundant):
        if name not in known:  # one that the study leaves out is no mistake
            raise ConfigError(f"claims: no method {name!r}{suggest(name, known)}")
    found = {dataset: tables(args, dataset) for dataset in value("datasets")}
    simulated = {name: section(f"data.{name}")["source"] == "simulator" for name in found}
    table = verdicts(found, simulated, drawn(args.trifeature), claims)
    table = carried(table, pd.concat(own.scores for own in found.values()))
    with atomic(args.out) as new:
        table.to_csv(new, index=False)
    with atomic(args.summary) as new:
        new.write_text(markdown(table))


if __name__ == "__main__":
    with reported(__doc__):
        main(arguments(Args, sys.argv[1:]))
