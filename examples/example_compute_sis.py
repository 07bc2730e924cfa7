"""Compute the Synergistic Information Score from your own numbers, and from the study's scores.

python examples/example_compute_sis.py [DATASET] [TASK]

SIS = (fused - best single) / best single, with macro F1 or R2 as the score. The second part reads
`results/probe` (`dvc pull`), and from `results/sis` the gains over both experts, in bits of labels
or R2 of compositions, that verdicts are made on, and SIS, both with 95 % intervals over donors.
"""

import sys
from pathlib import Path

import pandas as pd

from cell_synergy.core.errors import positional_arguments, report_errors
from cell_synergy.core.names import UNIMODAL
from cell_synergy.scoring.results import load_all_results
from cell_synergy.scoring.tables import ALL_FOLDS, headline_rows, paper_rows, read_sis, select_rows
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
    table = select_rows(read_sis(Path("results/sis"), dataset), "task", task)
    gains, ratios = headline_rows(table, fold=ALL_FOLDS), paper_rows(table, fold=ALL_FOLDS)
    print("\nGain over both experts, one-sided p corrected for the methods but controls:")
    report(gains, ["gain", "gain_low", "gain_high", "p_corrected"])
    print("\nSIS, relative to the expert with the better inner score:")
    report(ratios, ["sis", "low", "high"])


def report(rows: pd.DataFrame, columns: list[str]) -> None:
    """Print scores of methods and both experts, columns of numbers and notes, largest first."""
    scores = ["metric", "score", *(f"{expert}_score" for expert in UNIMODAL)]
    rows = rows[["method", *scores, *columns, "note"]].sort_values(columns[0], ascending=False)
    print(rows.round(3).to_string(index=False, na_rep=""))


if __name__ == "__main__":
    with report_errors(__doc__):
        main(*positional_arguments(main, sys.argv[1:]))
