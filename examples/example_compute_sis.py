"""Compute the Synergistic Information Score from your own numbers, and from the study's scores.

python examples/example_compute_sis.py [DATASET] [TASK]

SIS = (fused - best single) / best single, with macro F1 or R2 as the score. The second part reads
`results/probe` (`dvc pull`) and adds 95 % intervals over donors from `results/sis`.
"""

import sys
from pathlib import Path

from cell_synergy.core.errors import positional_arguments, report_errors
from cell_synergy.scoring.results import load_all_results
from cell_synergy.scoring.tables import ALL_FOLDS, read_sis
from cell_synergy.sis import compute_sis_all_models, print_sis_summary

OWN = {
    "Unimodal GEX": {"F1 Macro": [0.74, 0.76], "R2": [0.67, 0.69]},
    "Unimodal IMG": {"F1 Macro": [0.71, 0.73], "R2": [0.65, 0.65]},
    "Multimodal CoMM": {"F1 Macro": [0.81, 0.83], "R2": [0.74, 0.76]},
}


def main(dataset: str = "lung", task: str = "region") -> None:
    """Print the SIS of the numbers in `OWN`, and of the study's scores."""
    print("Scores of your own, one per test donor:")
    for model, sis in compute_sis_all_models(OWN).items():
        for metric, value in sis.items():
            print(f"  {model}, {metric}: SIS {value:+.3f}, gain {sis.gain[metric]:+.3f}")
    print(f"\nThe study's scores, {dataset}, {task}:")
    print_sis_summary(load_all_results("results/probe", dataset, task=task))
    table = read_sis(Path("results/sis"), dataset)
    shown = table[(table["task"] == task) & (table["probe"].str.startswith("linear"))]
    shown = shown[(shown["fold"] == ALL_FOLDS) & shown["metric"].isin(["macro_f1", "r2"])]
    columns = ["method", "best", "score", "best_score", "sis", "low", "high", "p_corrected", "note"]
    print("\nWith 95 % intervals over test donors, and p corrected for the methods compared:")
    print(shown[columns].sort_values("sis", ascending=False).round(3).to_string(index=False))


if __name__ == "__main__":
    with report_errors(__doc__):
        main(*positional_arguments(main, sys.argv[1:]))
