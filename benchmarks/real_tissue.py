"""Real tissue through the stages of the study: gains of every method, and verdicts.

CELL_SYNERGY_MIRROR=FOLDER python -m benchmarks.real_tissue datasets=her2st,mob \
    out=benchmarks/real_tissue

The data sets are blocks of params.yaml; all else is as in the study. Without a mirror their raw
files are downloaded. `gains.csv` has the gains under the linear probe, `verdicts.csv` the verdicts
on the paper's claims. Fifteen CPU minutes.
"""

import sys
from pathlib import Path

from benchmarks._study_copy import run_stages, study_copy
from benchmarks._study_tables import gains, verdicts, write
from cell_synergy.core.config import Config, arguments
from cell_synergy.core.errors import report_errors


class Args(Config):
    """Data sets, and the folder of the tables."""

    datasets: list[str]
    out: Path


def main(args: Args) -> None:
    """Run, print, write."""
    datasets = list(args.datasets)
    with study_copy({"datasets": datasets, "scaling.datasets": datasets}) as root:
        run_stages(root, ["claims"])
        table, said = (of(root / "results", args.datasets) for of in (gains, verdicts))
    wide = table.pivot_table("gain", ["dataset", "method"], "task", sort=False)
    print(wide.round(3).to_string())
    write(args.out, gains=table, verdicts=said)


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True, bare=False):
        main(arguments(Args, sys.argv[1:]))
