"""Write the tables of README.md anew, from the results of the study and of the benchmarks.

python -m benchmarks.readme [--results FOLDER] [--check]

A table stands between the lines `<!-- NAME -->` and `<!-- /NAME -->`, where NAME is a key of
`STUDY` or `BENCHMARKS`. With --check nothing is written, and the command fails if a table is not
that of the results.
"""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks._markdown import interval, number, table
from benchmarks._tables import BENCHMARKS
from cell_synergy.core.names import PAPER_METHODS, UNIMODAL, is_control, method_group, self_paired
from cell_synergy.figures.style import METHOD_NAMES
from cell_synergy.scoring.tables import ALL_FOLDS, SIGNIFICANCE, headline_rows, read_sis

__all__ = ["BENCHMARKS", "METHODS", "STUDY", "rendered"]

ROOT = Path(__file__).parents[1]
BEYOND = ("concat_full", "comm_products", "bilinear", "bilinear_full")
SELF_PAIRED = tuple(self_paired(m, e) for m in ("comm", "simclr", "bilinear") for e in UNIMODAL)
METHODS = (
    *PAPER_METHODS, *BEYOND, "shuffled", "random", "pca", "random_products", "pca_products",
    *SELF_PAIRED,
)  # fmt: skip
GROUPS = {
    "paper": "the paper's ten", "beyond the paper": "beyond the paper", "control": "controls",
}  # fmt: skip
GAINS = {
    "lung": (
        "cell_type", "region", "image_state", "expression_state", "niche", "matched_niche",
        "mixed_niche",
    ),
    "breast": ("region", "matched_niche", "mixed_niche"),
    "thymus": ("region", "matched_niche", "mixed_niche"),
}  # fmt: skip
BITS = {
    "lung": GAINS["lung"],
    "breast": ("region", "niche", "matched_niche", "mixed_niche"),
    "thymus": ("niche", "matched_niche", "mixed_niche"),
}
PARTS = "R", "U_image", "U_expression"


def true_parts(results: Path, dataset: str, task: str) -> "pd.Series[Any]":
    """Return the true decomposition of what the embeddings show of a task."""
    truth = pd.read_csv(results / "truth" / f"{dataset}.csv")
    rows = truth[(truth["task"] == task) & (truth["seen"] == "embeddings")]
    return rows.iloc[0]


def gains(results: Path) -> str:
    """Return the gain of every method (row) on every task, below the Bayes gain."""
    columns = {}
    for dataset, tasks in GAINS.items():
        linear = headline_rows(read_sis(results / "sis", dataset), fold=ALL_FOLDS)
        for task in tasks:
            of_task: Any = linear[linear["task"] == task].set_index("method")
            column = {"Bayes gain": number(true_parts(results, dataset, task)["gain"])}
            for expert in UNIMODAL:
                column[f"{expert} alone, bits"] = number(of_task[f"{expert}_score"].iloc[0])
            for name in METHODS:
                star = "*" if of_task.loc[name, "p_corrected"] < SIGNIFICANCE else ""
                column[name] = number(of_task.loc[name, "gain"]) + star
            columns[f"{dataset}, {task.replace('_', ' ')}"] = column
    rows, group = [], ""
    for name in next(iter(columns.values())):
        if name in METHODS and method_group(name) != group:
            group = method_group(name)
            rows.append([f"*{GROUPS[group]}*", *[""] * len(columns)])
        rows.append([METHOD_NAMES.get(name, name), *(cells[name] for cells in columns.values())])
    return table(["", *columns], rows)


def bits(results: Path) -> str:
    """Return true and estimated parts of the information, and the largest certified synergy."""
    rows = []
    for dataset, tasks in BITS.items():
        information = pd.read_csv(results / "information" / f"{dataset}.csv")
        for task in tasks:
            of_task = information[information["task"] == task]
            pair: Any = of_task[of_task["method"] == "pair"].set_index("quantity")
            certified = of_task[of_task["quantity"] == "certified_synergy"]
            is_learned = ~certified["method"].map(
                lambda name: is_control(name) or name in ("concat", "concat_full")
            )
            best = certified[is_learned].sort_values("bits", kind="stable").iloc[-1]
            truth = true_parts(results, dataset, task)
            parts = "redundant", "unique_image", "unique_expression", "synergy"
            cells = [
                f"{dataset} {task.replace('_', ' ')}",
                " / ".join(number(truth[part]) for part in parts),
                " / ".join(number(pair.loc[part, "bits"]) for part in PARTS),
                interval(pair.loc["S"]),
                f"{best['method']} {interval(best)}" if round(best["bits"], 2) > 0 else "none",
            ]
            rows.append(cells)
    header = ["task", "truth: R / U / U / S", "estimate: R / U / U", "S", "certified"]
    return table(header, rows)


def claims(results: Path) -> str:
    """Return the verdicts on the paper's claims."""
    return (results / "claims.md").read_text(encoding="utf-8").split("\n\n")[0]


STUDY: dict[str, Callable[[Path], str]] = {"gains": gains, "bits": bits, "claims": claims}


def rendered(text: str, results: Path) -> str:
    """Return a text with all its tables replaced.

    Parameters
    ----------
    text
        The text with the lines that mark tables. Those of the study must stand in it once, those of
        benchmarks once at most.
    results
        Folder of the study's results.
    """
    named = re.findall(r"^<!-- ([\w ]+) -->$", text, re.MULTILINE)
    if unknown := sorted(set(named) - {*STUDY, *BENCHMARKS}):
        sys.exit(f"README.md: <!-- {unknown[0]} --> is no table; {', '.join(STUDY | BENCHMARKS)}")
    for name, render in (STUDY | BENCHMARKS).items():
        marks = re.compile(f"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
        count = len(marks.findall(text))
        if count != named.count(name) or count > 1 or (name in STUDY and not count):
            sys.exit(f"README.md: the lines <!-- {name} --> and <!-- /{name} --> are needed once")
        if count:
            new = render(results if name in STUDY else ROOT / "benchmarks")
            text = marks.sub(lambda match, new=new: match[1] + new + match[2], text)  # type: ignore[misc]
    return text


def main(argv: list[str]) -> None:
    """Write or check the tables."""
    parser = argparse.ArgumentParser(description="Tables of README.md.")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    arguments = parser.parse_args(argv)
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    new = rendered(text, arguments.results)
    if not arguments.check:
        readme.write_text(new, encoding="utf-8")
    elif new != text:
        sys.exit("README.md: a table is not that of the results; run python -m benchmarks.readme")


if __name__ == "__main__":
    main(sys.argv[1:])
