"""The paper's ten methods on all features of both experts, as published, beside balanced inputs.

python -m benchmarks.paper_inputs dataset=lung results=results out=benchmarks/paper_inputs.csv

Runs alignment and evaluation in a copy of the study with `align.axes: none`. The table has the
gains of both, on the same observations, with p values corrected over the ten methods. Five CPU
minutes.
"""

import sys
from pathlib import Path

from benchmarks._study_copy import run_stages, study_copy
from benchmarks._study_tables import CASE, gains
from cell_synergy.core.config import Config, arguments, read_section
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.names import PAPER_METHODS, UNIMODAL


class Args(Config):
    """Data set, the study's results, and the output."""

    dataset: str
    results: Path
    out: Path


def main(args: Args) -> None:
    """Run, compare, print, write."""
    blocks, names = read_section("models"), (*PAPER_METHODS, *UNIMODAL)
    changes = {
        "align.axes": "none", "datasets": [args.dataset],
        "models": {name: blocks[name] for name in names},
    }  # fmt: skip
    with study_copy(changes) as root:
        run_stages(root, ["sis"])
        all_features = gains(root / "results", [args.dataset])
    axes = gains(args.results, [args.dataset])
    table = axes.merge(all_features, on=CASE, suffixes=("_axes", "_all"))
    table = table[table["method"].isin(PAPER_METHODS)]
    print(table.pivot_table(["gain_axes", "gain_all"], "method", "task").round(3).to_string())
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.4g")


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True, bare=False):
        main(arguments(Args, sys.argv[1:]))
