"""SIS over distance of every method on every data set, from the scores of the stage `spatial`."""

import sys
from pathlib import Path

from cell_synergy.core.config import Config, arguments, read_param
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.downstream.spatial.distance import curves
from cell_synergy.scoring.tables import read_methods


class Args(Config):
    """Inputs and outputs."""

    scores: Path
    out: Path


def main(args: Args) -> None:
    """Read, compute, write."""
    with atomic_write(args.out) as folder:
        folder.mkdir()
        for dataset in read_param("datasets"):
            scores = read_methods(args.scores, dataset, list(read_param("models")))
            curves(scores).to_csv(folder / f"{dataset}.csv", index=False, float_format="%.6g")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
