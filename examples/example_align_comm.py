"""Align two frozen experts with CoMM, and score the fused embedding.

python examples/example_align_comm.py [DATASET] [EPOCHS]

Runs the public command with few epochs and one seed; weights are written to `runs/`. Then linear
probes score the fused embedding on test donors, beside the two experts that it was fused from.
"""

import sys
from pathlib import Path

import pandas as pd
from example_evaluate_f1_r2 import linear_scores, read, summary

from cell_synergy.core.errors import positional_arguments, report_errors
from cell_synergy.finetuning import run_alignment


def main(dataset: str = "lung", epochs: str = "5") -> None:
    """Align, print the loss of every epoch, score."""
    out = Path("runs/examples/align_comm")
    run_alignment.main(
        ["--config-name", "align", "models.name=comm", f"data.dataset={dataset}",
         f"training.max_epochs={epochs}", "align.seeds=1", f"out={out}", f"curves={out}-curves"]
    )  # fmt: skip
    for part in ("train", "validation"):
        for table in sorted(Path(f"{out}-curves", part).glob("*.tsv")):
            losses = pd.read_csv(table, sep="\t").iloc[:, 1]
            history = " ".join(f"{loss:.2f}" for loss in losses)
            print(f"{part} loss of {table.stem}, epoch by epoch: {history}")
    paired, spec = read(dataset)
    folders = {"image": None, "expression": None, "comm": out}
    print(f"\nLinear probe, mean over test donors of {dataset}:")
    scores = linear_scores(paired, spec, dataset, folders)
    print(summary(scores, "mean").round(3).to_string())


if __name__ == "__main__":
    with report_errors(__doc__):
        main(*positional_arguments(main, sys.argv[1:]))
