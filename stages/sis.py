"""The Synergistic Information Score of every method on one data set, from all probes' scores."""

import sys
from pathlib import Path

from cell_synergy.core.config import Config, arguments, read_param
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.scoring.tables import read_methods, sis_table


class Args(Config):
    """Inputs and outputs."""

    dataset: str
    scores: Path
    out: Path


def main(args: Args) -> None:
    """Read, compute, write."""
    scores = read_methods(args.scores, args.dataset, list(read_param("models")))
    with atomic_write(args.out) as new:
        sis_table(scores).to_csv(new, index=False, float_format="%.6g")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
