"""Gain and SIS of every method on every data set, of probes and over space."""

import sys
from pathlib import Path

from cell_synergy.core.config import Config, arguments, read_param
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.downstream.spatial.distance import curves
from cell_synergy.scoring.tables import read_methods, sis_table


class Args(Config):
    """Inputs and outputs, folders with one table per data set.

    Attributes
    ----------
    scores, spatial
        Scores of probes, and scores over space.
    out, distance
        Gain and SIS of both: per task, and per band of distance.
    """

    scores: Path
    spatial: Path
    out: Path
    distance: Path


def main(args: Args) -> None:
    """Read, compute, write."""
    datasets, methods = read_param("datasets"), list(read_param("models"))
    for scores, out, score in (
        (args.scores, args.out, sis_table),
        (args.spatial, args.distance, curves),
    ):
        with atomic_write(out) as folder:
            folder.mkdir()
            for dataset in datasets:
                table = score(read_methods(scores, dataset, methods))
                table.to_csv(folder / f"{dataset}.csv", index=False, float_format="%.6g")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
