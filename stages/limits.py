"""Detection limits of every data set, task and method, and of studies to come."""

import sys
from pathlib import Path

import pandas as pd

from cell_synergy.core.config import Config, arguments, load, read_param
from cell_synergy.core.errors import DataError, report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.scoring.tables import read_methods, read_sis
from cell_synergy.studies.config import LimitsConfig
from cell_synergy.studies.limits import design_limits, study_limits


class Args(Config):
    """Folders of tables, and the output.

    Attributes
    ----------
    sis, scores, truth, spectrum
        Folders of the tables of the stages of these names; `scores` are those of probes, and
        `truth` has the true decompositions of simulated data sets.
    out
        The table of detection limits, whose columns `cell_synergy.studies.limits` explains.
    """

    sis: Path
    scores: Path
    truth: Path
    spectrum: Path
    out: Path


def read(path: Path) -> pd.DataFrame:
    """Read one table."""
    if not path.is_file():
        raise DataError(f"{path}: no such table; compute it with `dvc repro`")
    return pd.read_csv(path, dtype={"seed": str, "fold": str})


def main(args: Args) -> None:
    """Read, compute, write."""
    config, methods = load(LimitsConfig, "limits"), read_param("models")
    parts = [
        study_limits(
            dataset,
            read_sis(args.sis, dataset),
            read(args.spectrum / f"{dataset}.csv"),
            read_methods(args.scores, dataset, methods),
            read(args.truth / f"{dataset}.csv"),
            config,
        )
        for dataset in read_param("datasets")
    ]
    filled = [part for part in parts if len(part)]
    table = pd.concat([*filled, design_limits(config)], ignore_index=True)
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.6g")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
