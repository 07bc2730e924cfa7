"""Ways to fine-tune an expert on all training pairs: the head alone, the last layer, adapters.

python -m benchmarks.finetune dataset=lung how=linear,last,lora out=benchmarks/finetune.csv

Runs the stage `finetune` once per way (`finetune.how`) in a copy of the study, on all pairs. A row
is the mean over test donors of one arm's scores. Eight CPU minutes.
"""

import sys
from pathlib import Path
from typing import Literal

import pandas as pd

from benchmarks._study_copy import run_stages, study_copy
from benchmarks._study_tables import scaling_scores
from cell_synergy.core.config import Config, arguments
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write


class Args(Config):
    """Data set, ways of fine-tuning, and the output."""

    dataset: str
    how: list[Literal["linear", "last", "lora"]]
    out: Path


def main(args: Args) -> None:
    """Run, average, print, write."""
    tables = []
    for how in args.how:
        changes = {
            "datasets": [args.dataset], "scaling.datasets": [args.dataset], "finetune.how": how,
            "scaling.fractions": [100],
        }  # fmt: skip
        with study_copy(changes) as root:
            run_stages(root, ["finetune"])
            scores = scaling_scores(root / "results" / "finetune")
            tables.append(scores.drop(columns="spread").assign(how=how))
    table = pd.concat(tables, ignore_index=True)
    print(table.pivot_table("value", ["task", "metric", "method"], "how").round(3).to_string())
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.4g")


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True, bare=False):
        main(arguments(Args, sys.argv[1:]))
