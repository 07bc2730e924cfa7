"""The whole study again with other seeds of the simulator: which verdicts hold.

python -m benchmarks.replication seeds.lung=24 seeds.breast=22 seeds.thymus=23 results=results \
    out=benchmarks/replication

Runs every stage up to the claims in a copy of the study whose twins are drawn anew; no value was
chosen on them. `verdicts.csv` has each verdict of the study beside that of the copy; `gains.csv`
the gains of both, with corrected p values, so that stars can be counted. As many CPU minutes as the
study.
"""

import sys
from pathlib import Path

import pandas as pd

from benchmarks._study_copy import run_stages, study_copy
from benchmarks._study_tables import CASE, gains, verdicts, write
from cell_synergy.core.config import Config, arguments
from cell_synergy.core.errors import report_errors

ANEW = "_anew"  # suffix of the columns of the copy


class Args(Config):
    """Seed of each twin, the study's results, and the folder of the tables."""

    seeds: dict[str, int]
    results: Path
    out: Path


def joined(study: pd.DataFrame, copy: pd.DataFrame, case: list[str]) -> pd.DataFrame:
    """Return rows of the study beside those of the copy; rows that one of them lacks stay empty."""
    return study.merge(copy, on=case, how="outer", suffixes=("", ANEW), sort=True)


def main(args: Args) -> None:
    """Run, compare, print, write."""
    datasets = list(args.seeds)
    changes = {f"data.{name}.source.seed": seed for name, seed in args.seeds.items()}
    with study_copy(changes | {"datasets": datasets}) as root:
        run_stages(root, ["claims"])
        anew = root / "results"
        said = joined(
            verdicts(args.results, datasets),
            verdicts(anew, datasets),
            ["claim", "dataset", "task", "method"],
        )
        gained = joined(gains(args.results, datasets), gains(anew, datasets), CASE)
    said["holds"] = said["verdict"] == said[f"verdict{ANEW}"]
    print(f"{said['holds'].sum()} of {len(said)} verdicts hold")
    write(args.out, verdicts=said, gains=gained)


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True, bare=False):
        main(arguments(Args, sys.argv[1:]))
