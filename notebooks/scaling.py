# %% [markdown]
# # Scores over training pairs
# Macro F1 on the same held-out test donors, after training on nested fractions of the training
# pairs. All five arms read the same image expert and the same expression expert: the focal method
# and concatenation, which get their principal axes (`align.axes`); either expert frozen, with all
# features; and the expression expert fine-tuned on each fraction. Lines: mean over draws and
# donors; bands: 95 % intervals over donors; dots: single draws; vertical line: crossing of the
# curves of the focal method and of the fine-tuned expert. Solid: labels are subsampled with the
# pairs. Dashed: all training labels are used. Dotted: a classifier that predicts from the class
# frequencies alone.

# %% tags=["parameters"]
figure = "figures/scaling"
scaling = "results/scaling"
finetune = "results/finetune"
labels = "data/labels"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from cell_synergy.core.config import read_param
from cell_synergy.core.names import TRANSDUCTIVE
from cell_synergy.data.label_files import read_task_table
from cell_synergy.figures import style
from cell_synergy.scoring.tables import PAPER_METRICS
from cell_synergy.studies.scaling import ALL_LABELS, DRAWN_LABELS, PRIOR, TUNED
from cell_synergy.studies.scaling.curves import crossovers, curves, left_out, read

style.set_style()
focal, datasets = read_param("method"), read_param("scaling.datasets")
image_expert, expression_expert = read_param("experts.image"), read_param("experts.finetuned")
tables = {d: read_task_table(Path(labels), d) for d in datasets}
titles = {d: style.title(d, table.simulated) for d, table in tables.items()}
methods = [focal, "concat", "image", "expression"]
scores = pd.concat([read(Path(scaling), Path(finetune), d, methods, datasets) for d in datasets])
scores = scores[scores["metric"].isin([*PAPER_METRICS, ""])]
lines = curves(scores)
crossings = crossovers(scores)
crossings[crossings["second"] == focal].round(3)

# %%
missing = left_out(scores)
missing

# %%
tones = {
    focal: style.FOCUS, "concat": style.PLAIN, TUNED: "#d98e04", "expression": style.EXPRESSION,
    "image": style.IMAGE, PRIOR: "black",
}  # fmt: skip
names = {
    focal: style.METHOD_NAMES.get(focal, focal), "concat": "concatenation of both experts",
    TUNED: f"{expression_expert}, fine-tuned", "expression": f"{expression_expert}, frozen",
    "image": f"{image_expert}, frozen", PRIOR: "label shares alone",
}  # fmt: skip


def draw(axes, rows, tone, label_set):
    """Draw one curve, with its interval if labels are subsampled."""
    rows = rows[rows["labels"] == label_set].sort_values("pairs")
    solid = label_set == DRAWN_LABELS
    axes.plot(
        rows["pairs"], rows["score"], color=tone, lw=1.3 if solid else 0.8,
        ls="-" if solid else (0, (4, 2)), marker="o" if solid else None, ms=3, zorder=3,
    )  # fmt: skip
    if solid:
        axes.fill_between(rows["pairs"], rows["low"], rows["high"], color=tone, alpha=0.15, lw=0)


columns = max([1, *lines.groupby("dataset")["task"].nunique()])
fig, grid = plt.subplots(
    len(datasets), columns, figsize=(3.9 * columns, 2.6 * len(datasets) + 0.6), squeeze=False,
    layout="constrained",
)  # fmt: skip
for row, dataset in zip(grid, datasets, strict=True):
    curves_here = lines[lines["dataset"] == dataset]
    probes = scores.loc[scores["dataset"] == dataset, "probe"].astype(str)
    note = TRANSDUCTIVE if probes.str.endswith(TRANSDUCTIVE).any() else ""
    if curves_here.empty:
        is_short = (missing["dataset"] == dataset).any()
        reason = "too few training pairs" if is_short else "no task of scaling.tasks"
        style.write_message(row[0], f"{reason} in this data set")
        row[0].set_title(titles[dataset], pad=22)
    for axes, task in zip(row, curves_here["task"].unique(), strict=False):
        curve = curves_here[curves_here["task"] == task]
        for arm, tone in tones.items():
            rows = curve[curve["method"] == arm]
            if arm == PRIOR:
                null = rows[rows["labels"] == DRAWN_LABELS].sort_values("pairs")
                axes.plot(null["pairs"], null["score"], color=tone, lw=0.9, ls=":")
                continue
            for label_set in (DRAWN_LABELS, ALL_LABELS):
                draw(axes, rows, tone, label_set)
            drawn = scores[
                (scores["dataset"] == dataset) & (scores["task"] == task)
                & (scores["method"] == arm) & (scores["labels"] == DRAWN_LABELS)
                & (scores["note"] == "")
            ]  # fmt: skip
            dots = drawn.groupby(["fraction", "draw", "seed"])[["pairs", "value"]].mean()
            axes.scatter(dots["pairs"], dots["value"], s=4, color=tone, alpha=0.5, lw=0, zorder=2)
        case = crossings[
            (crossings["dataset"] == dataset) & (crossings["task"] == task)
            & (crossings["second"] == focal) & (crossings["labels"] == DRAWN_LABELS)
        ]  # fmt: skip
        message = case["said"].iloc[0] if len(case) else ""
        for arm in (TUNED, focal):
            message = message.replace(arm, "fine-tuned" if arm == TUNED else names[arm])
        if len(case) and np.isfinite(case["crossing"].iloc[0]):
            axes.axvline(case["crossing"].iloc[0], color="black", lw=0.5, ls=(0, (1, 1)))
        axes.set_xscale("log")
        ticks = curve.sort_values("pairs").drop_duplicates("fraction")
        shares = [
            f"{n:.0f}\n{f:g} %" for n, f in zip(ticks["pairs"], ticks["fraction"], strict=True)
        ]
        axes.set_xticks(ticks["pairs"], shares)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(labelsize=6, length=2, which="both")
        metric = "R$^2$" if curve["metric"].iloc[0] == "r2" else "macro F1"
        axes.set_ylabel(f"{metric}{note}", fontsize=7)
        axes.set_title(f"{titles[dataset]}: {task.replace('_', ' ')}", pad=22)
        axes.annotate(
            tables[dataset].role, (0, 1), (0, 14), xycoords="axes fraction",
            textcoords="offset points", fontsize=6.5, color="#555555",
        )  # fmt: skip
        omitted = missing[(missing["dataset"] == dataset) & (missing["task"] == task)]
        omitted = omitted[
            (omitted["labels"] == DRAWN_LABELS) & ~omitted["fraction"].isin(ticks["fraction"])
        ]
        fractions = ", ".join(f"{f:g} %" for f in omitted["fraction"])
        reason = f"left out, too few: {fractions}" if fractions else ""
        for x, side, text in ((0, "left", message), (1, "right", reason)):
            axes.text(
                x, 1.02, text, transform=axes.transAxes, fontsize=6, color="#555555", ha=side,
            )  # fmt: skip
    for axes in row[max(curves_here["task"].nunique(), 1) :]:
        axes.set_visible(False)
if len(curves_here):  # those of the last data set
    for axes in grid[-1]:
        axes.set_xlabel("training pairs", fontsize=7)
handles = [
    Line2D([], [], color=tone, lw=1.3, ls=":" if arm == PRIOR else "-", label=names[arm])
    for arm, tone in tones.items()
]
handles.append(Line2D([], [], color="black", lw=0.8, ls=(0, (4, 2)), label="all training labels"))
if len(lines):
    fig.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=6.5)
style.save(fig, Path(figure))
