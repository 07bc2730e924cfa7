"""How scores grow with training pairs, on every twin: the study's stages with all data sets.

python -m benchmarks.scaling datasets=lung,breast,thymus draws=3 out=benchmarks/scaling.csv

Runs the stages `scaling` and `finetune` in a copy of the study. A row is the mean over test donors
and draws of the scores of one arm on a fraction of the training pairs, and `spread` the standard
deviation between draws. Fifteen CPU minutes.
"""

import sys
from pathlib import Path

import pandas as pd
from pydantic import PositiveInt

from benchmarks._study_copy import run_stages, study_copy
from benchmarks._study_tables import scaling_scores
from cell_synergy.core.config import Config, arguments
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write


class Args(Config):
    """Data sets, number of draws of each fraction, and the output."""

    datasets: list[str]
    draws: PositiveInt
    out: Path


def main(args: Args) -> None:
    """Run, average, print, write."""
    datasets = list(args.datasets)
    changes = {"datasets": datasets, "scaling.datasets": datasets, "scaling.draws": args.draws}
    with study_copy(changes) as root:
        run_stages(root, ["scaling", "finetune"])
        folders = (root / "results" / name for name in ("scaling", "finetune"))
        tables = [scaling_scores(folder) for folder in folders]
    table = pd.concat(tables, ignore_index=True)
    print(
        table.pivot_table("value", ["dataset", "task", "method"], "fraction").round(3).to_string()
    )
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.4g")


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True, bare=False):
        main(arguments(Args, sys.argv[1:]))
