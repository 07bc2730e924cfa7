"""Fine-tune the small Nicheformer on one task, and compare it with the frozen expert.

python examples/example_finetune_nicheformer.py [DATASET] [TASK]

Runs the public command twice, with few steps: first the last layer and a linear head are trained
(`finetune.how=last`), then the head alone (`linear`). Both start at the same linear probe and are
scored on the same donors. Needs the pretrained expert (`dvc pull`); results are written to `runs/`.
"""

import sys
from pathlib import Path

import pandas as pd

from cell_synergy.core.config import read_section
from cell_synergy.core.errors import positional_arguments, report_errors
from cell_synergy.finetuning import run_expert
from cell_synergy.scoring.tables import PAPER_METRICS


def main(dataset: str = "lung", task: str = "cell_type") -> None:
    """Fine-tune, then print scores per test donor."""
    expert = read_section("experts")["finetuned"]
    by_run = {}
    for how in ("last", "linear"):
        out = Path("runs/examples/finetune", how)
        run_expert.main(
            ["--config-name", "finetune", f"expert.name={expert}", f"data.dataset={dataset}",
             f"finetune.how={how}", f"finetune.tasks={task}", f"out={out}"]
        )  # fmt: skip
        scores = pd.read_csv(out / "scores.csv")
        rows = scores[scores["metric"].isin(PAPER_METRICS)]
        by_run["fine-tuned" if how == "last" else "frozen"] = rows.groupby("donor")["value"].mean()
        rounds = scores["strength"].iloc[0]
        print(f"{how}: {rounds:g} rounds, chosen on training donors that were left out")
    table = pd.DataFrame(by_run)
    table["difference"] = table["fine-tuned"] - table["frozen"]
    print(f"\n{expert} on {dataset}, {task}: macro F1 or R2 per test donor")
    print(pd.concat([table, table.mean().to_frame("mean").T]).round(3).to_string())


if __name__ == "__main__":
    with report_errors(__doc__):
        main(*positional_arguments(main, sys.argv[1:]))
