"""Write the tables of README.md anew, from the results of the study and of the benchmarks.

python -m benchmarks.readme [--results FOLDER] [--check]

A table stands between the lines `<!-- NAME -->` and `<!-- /NAME -->`. With --check nothing is
written, and the command fails if a table is not that of the results.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.null_fits import DONORS
from cell_synergy.core.names import UNIMODAL, is_control, self_paired
from cell_synergy.scoring.tables import ALL_FOLDS, SIGNIFICANCE, headline_rows, read_sis

ROOT = Path(__file__).parents[1]
METHODS = (
    "concat", "cca", "dcca", "simclr", "byol", "simsiam", "barlowtwins", "vicreg", "dim", "comm",
    "shuffled", "random", "pca", *(self_paired("comm", expert) for expert in UNIMODAL),
)  # fmt: skip
GAINS = {
    "lung": (
        "cell_type", "region", "image_state", "expression_state", "niche", "matched_niche",
    ),
    "breast": ("cell_type", "region"),
    "thymus": ("region", "niche", "matched_niche"),
}  # fmt: skip
BITS = {
    "lung": GAINS["lung"],
    "breast": ("region", "niche"),
    "thymus": ("niche", "matched_niche"),
}
PARTS = "R", "U_image", "U_expression"
POWERS = "power_0.05", "power_0.1", "power_0.2"


def number(value: float, digits: int = 2) -> str:
    """Return a number without a leading zero; adding 0.0 turns a negative zero into zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("0.", ".", 1)


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    names = list(header)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def true_parts(results: Path, dataset: str, task: str) -> "pd.Series[Any]":
    """Return the true decomposition of what the embeddings show of a task."""
    truth = pd.read_csv(results / "truth" / f"{dataset}.csv")
    rows = truth[(truth["task"] == task) & (truth["seen"] == "embeddings")]
    return rows.iloc[0]


def gains(results: Path) -> str:
    """Return the gain of every method, beside the Bayes gain and the bits of both experts."""
    rows = []
    for dataset, tasks in GAINS.items():
        linear = headline_rows(read_sis(results / "sis", dataset), fold=ALL_FOLDS)
        for task in tasks:
            of_task: Any = linear[linear["task"] == task].set_index("method")
            experts = (number(of_task[f"{name}_score"].iloc[0]) for name in UNIMODAL)
            cells = [
                number(of_task.loc[name, "gain"])
                + ("*" if of_task.loc[name, "p_corrected"] < SIGNIFICANCE else "")
                for name in METHODS
            ]
            bayes = number(true_parts(results, dataset, task)["gain"])
            rows.append([f"{dataset} {task.replace('_', ' ')}", bayes, " / ".join(experts), *cells])
    names = [name.replace("_", ", ") + " twice" if "_" in name else name for name in METHODS]
    return table(["task", "Bayes gain", "image / expression, bits", *names], rows)


def bits(results: Path) -> str:
    """Return true and estimated parts of the information, and the largest certified synergy."""
    rows = []
    for dataset, tasks in BITS.items():
        information = pd.read_csv(results / "information" / f"{dataset}.csv")
        for task in tasks:
            of_task = information[information["task"] == task]
            pair: Any = of_task[of_task["method"] == "pair"].set_index("quantity")
            certified = of_task[of_task["quantity"] == "certified_synergy"]
            is_learned = ~certified["method"].map(lambda m: is_control(m) or m == "concat")
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


def interval(row: "pd.Series[Any]") -> str:
    """Return bits with their interval."""
    return f"{number(row['bits'])} ({number(row['low'])} to {number(row['high'])})"


def claims(results: Path) -> str:
    """Return the verdicts on the paper's claims."""
    return (results / "claims.md").read_text(encoding="utf-8").split("\n\n")[0]


def null_study(_: Path) -> str:
    """Return coverage, family-wise error and power of the null study at seven donors."""
    study = pd.read_csv(ROOT / "benchmarks" / "null_study.csv")
    study = study[(study["donors"] == DONORS) & (study["losers"] == 0)]
    rows = []
    for noise, of_noise in study.groupby("noise", sort=False):
        spread = ("covers_gain", "covers_sis", "family_wise", "family_wise_before")
        spans = [
            f"{number(of_noise[name].min(), 3)} to {number(of_noise[name].max(), 3)}"
            for name in spread
        ]
        powers = (
            " / ".join(number(of_noise[name + suffix].mean()) for name in POWERS)
            for suffix in ("", "_before")
        )
        rows.append([str(noise), *spans, *powers])
    header = [
        "noise", "covers gain", "covers SIS", "some of ten zeros found", "before",
        "planted .05 / .1 / .2 found", "before",
    ]  # fmt: skip
    return table(header, rows)


def coverage(_: Path) -> str:
    """Return the coverage of the intervals of the parts, by design."""
    designs = pd.read_csv(ROOT / "benchmarks" / "coverage.csv")
    columns = ["coverage", "coverage_above_zero", "coverage_zeros", "width", "absolute_error"]
    rows = (
        [
            f"{row['donors']:.0f} x {row['units']:.0f}",
            *(number(float(row[name]), 3) for name in columns),
        ]
        for _, row in designs.iterrows()
    )
    header = [
        "test donors x observations", "all parts", "parts above 0", "true zeros", "width",
        "mean absolute error",
    ]  # fmt: skip
    return table(header, rows)


def pure_noise(_: Path) -> str:
    """Return in how many data sets of pure noise some gain has a star, and a ratio is printed."""
    noise = pd.read_csv(ROOT / "benchmarks" / "pure_noise.csv")
    noise = noise[noise["size"] == "all"].sort_values("used", ascending=False, kind="stable")
    rows = (
        [
            str(row["through"]), str(row["probe"]), str(row["metric"]), str(row["used"]),
            f"{row['stars']} of {row['datasets']}", number(float(row["upper"]), 3),
            f"{row['ratios']}",
        ]
        for _, row in noise.iterrows()
    )  # fmt: skip
    header = [
        "through",
        "probe",
        "metric",
        "test",
        "data sets with a star",
        "upper limit",
        "ratios",
    ]
    return table(header, rows)


TABLES: dict[str, Callable[[Path], str]] = {
    "gains": gains,
    "bits": bits,
    "claims": claims,
    "null study": null_study,
    "coverage": coverage,
    "pure noise": pure_noise,
}


def rendered(text: str, results: Path) -> str:
    """Return a text with all tables replaced; each must stand in it once.

    Parameters
    ----------
    text
        The text with the lines that mark tables.
    results
        Folder of the study's results.
    """
    for name, render in TABLES.items():
        marks = re.compile(f"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
        if len(marks.findall(text)) != 1:
            sys.exit(f"README.md: the lines <!-- {name} --> and <!-- /{name} --> are needed once")
        new = render(results)
        text = marks.sub(lambda found, new=new: found[1] + new + found[2], text)  # type: ignore[misc]
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
