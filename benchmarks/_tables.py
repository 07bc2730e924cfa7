"""The tables of benchmarks as Markdown, for README and the documentation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks._markdown import cell, number, plain, table, wide
from benchmarks._null_fits import DONORS

POWERS = "power_0.05", "power_0.1", "power_0.2"
TRIFEATURE = ("redundancy", "unique_image", "unique_expression", "synergy")


def read(folder: Path, name: str) -> pd.DataFrame:
    """Return the table of a benchmark; those of several instances in one, with a column `instance`.

    Parameters
    ----------
    folder, name
        Folder of the benchmarks, and name of the stage.
    """
    if (path := folder / f"{name}.csv").is_file():
        return pd.read_csv(path)
    files = sorted((folder / name).glob("*.csv"))
    return pd.concat([pd.read_csv(file).assign(instance=file.stem) for file in files])


def null_study(folder: Path) -> str:
    """Return coverage, family-wise error and power of the null study at seven donors."""
    study = read(folder, "null_study")
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


def coverage(folder: Path) -> str:
    """Return the coverage of the intervals of the parts, by design."""
    columns = ["coverage", "coverage_above_zero", "coverage_zeros", "width", "absolute_error"]
    rows = (
        [
            f"{row['donors']:.0f} x {row['units']:.0f}",
            *(number(float(row[name]), 3) for name in columns),
        ]
        for _, row in read(folder, "coverage").iterrows()
    )
    header = [
        "test donors x observations", "all parts", "parts above 0", "true zeros", "width",
        "mean absolute error",
    ]  # fmt: skip
    return table(header, rows)


def pure_noise(folder: Path) -> str:
    """Return in how many data sets of pure noise some gain has a star, and a ratio is printed."""
    noise = read(folder, "pure_noise")
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
        "through", "probe", "metric", "test", "data sets with a star", "upper limit", "ratios",
    ]  # fmt: skip
    return table(header, rows)


def calibration(folder: Path) -> str:
    """Return the mean error of every estimated quantity, by design."""
    rows = read(folder, "calibration")
    rows = rows.assign(
        error=rows["estimate"] - rows["truth"],
        design=rows["donors"].astype(str) + " x " + rows["units"].astype(str),
    )
    return wide(rows, ["case", "quantity"], "design", "error")


def nonlinear_probe(folder: Path) -> str:
    """Return means over tasks of every size of the nonlinear probe, by data set."""
    groups = read(folder, "nonlinear_probe").groupby(["data", "setting"], sort=False)
    return plain(groups.mean(numeric_only=True).reset_index(), 4)


def real_bits(folder: Path) -> str:
    """Return the bits of both tables, by standardisation."""
    rows = read(folder, "real_bits")
    rows = rows[rows["table"] != "label shares"].fillna({"probe": ""})
    return wide(rows, ["table", "representation", "probe"], "standardise", "value")


def linear_heads(folder: Path) -> str:
    """Return every alignment's score less the spectral ceiling, in the metrics of the paper."""
    rows = read(folder, "linear_heads")
    rows = rows[(rows["quantity"] == "over_ceiling") & rows["metric"].isin(["macro_f1", "r2"])]
    return wide(rows, ["instance", "task"], "method", "value")


def trifeature(folder: Path) -> str:
    """Return median and range over seeds of balanced accuracies, in per cent."""
    rows = []
    table_of_all = read(folder, "trifeature")
    for (method, probe), group in table_of_all.groupby(["method", "probe"], sort=False):
        cells = [str(method), str(probe)]
        for task in TRIFEATURE:
            percent = 100 * group.loc[group["task"] == task, "value"]
            spread = f"({percent.min():.1f} to {percent.max():.1f})"
            cells.append(f"{percent.median():.1f} {spread}")
        rows.append(cells)
    return table(["method", "probe", *(task.replace("_", " ") for task in TRIFEATURE)], rows)


def tune(folder: Path) -> str:
    """Return the best combination of every method, and its lead over the others' mean."""
    rows = []
    for method, group in read(folder, "tune").groupby("method", sort=False):
        best, rest = group[group["best"]].iloc[0], group.loc[~group["best"], "mean"]
        values = str(best["values"]).strip("{}").replace('"', "")
        rows.append([str(method), values, cell(best["mean"]), cell(best["mean"] - rest.mean())])
    return table(["method", "best values", "mean score", "lead over the others' mean"], rows)


def paper_inputs(folder: Path) -> str:
    """Return gains with balanced inputs and with all features, by method and task."""
    rows = read(folder, "paper_inputs")
    both = [f"{number(a)} / {number(b)}" for a, b in rows[["gain_axes", "gain_all"]].to_numpy()]
    rows = rows.assign(gains=both)
    pivot = rows.pivot_table("gains", "method", "task", aggfunc="first", sort=False)
    return plain(pivot.reset_index())


def replication(folder: Path) -> str:
    """Return the verdicts on whole data sets, of the study and of the twins drawn anew."""
    rows = pd.read_csv(folder / "replication" / "verdicts.csv", keep_default_na=False)
    rows = rows[rows["task"] == "all"]
    return plain(rows[["claim", "dataset", "verdict", "verdict_anew"]])


def real_tissue(folder: Path) -> str:
    """Return the gains on real tissue, by method and task."""
    rows = pd.read_csv(folder / "real_tissue" / "gains.csv")
    rows = rows.assign(case=rows["dataset"] + ", " + rows["task"].str.replace("_", " "))
    return wide(rows, ["method"], "case", "gain")


def _long(folder: Path, *, name: str, index: list[str], columns: str, values: str) -> str:
    return wide(read(folder, name), index, columns, values)


def _plain(folder: Path, *, name: str) -> str:
    return plain(read(folder, name))


BENCHMARKS: dict[str, Callable[[Path], str]] = {
    "null study": null_study,
    "coverage": coverage,
    "pure noise": pure_noise,
    "calibration": calibration,
    "nonlinear probe": nonlinear_probe,
    "real bits": real_bits,
    "linear heads": linear_heads,
    "trifeature": trifeature,
    "tune": tune,
    "paper inputs": paper_inputs,
    "replication": replication,
    "real tissue": real_tissue,
    "planted": partial(
        _long, name="planted", index=["measure", "band", "inner_um", "outer_um"],
        columns="seed", values="excess",
    ),
    "experts": partial(
        _long, name="experts", index=["instance", "method", "probe"], columns="task",
        values="value",
    ),
    "scaling": partial(
        _long, name="scaling", index=["dataset", "task", "metric", "method"], columns="fraction",
        values="value",
    ),
    "finetune": partial(
        _long, name="finetune", index=["dataset", "task", "metric", "method"], columns="how",
        values="value",
    ),
    "visibility": partial(_plain, name="visibility"),
    "planted gains": partial(_plain, name="planted_gains"),
    "reach": partial(
        _long, name="reach", index=["task", "method", "probe", "pairs"], columns="labels",
        values="reached",
    ),
    "all products": partial(
        _long, name="all_products", index=["dataset", "task"], columns="method", values="gain"
    ),
    **{
        name: partial(_plain, name=name)
        for name in ("cca", "probes", "broja", "epoch", "embedding", "spatial", "tokenizer")
    },
}  # fmt: skip
"""Rendering of every benchmark, by the name of its stage with spaces, given their folder."""
