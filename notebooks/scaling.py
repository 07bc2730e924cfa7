# %% [markdown]
# # Scores over training pairs
# Macro F1 on the same untouched test donors, after learning from nested fractions of the training
# pairs. Lines: mean over draws and donors; bands: 95 % intervals over donors; dots: single draws;
# a vertical line: where the curves of the focal method and of the fine-tuned expert cross.
# Solid: labels shrink with the pairs. Dashed: all training labels are known. Dotted: a probe
# that knows the shares of labels alone. The fine-tuned expert and its frozen twin are
# the small Nicheformer.

# %% tags=["parameters"]
figure = "figures/scaling"
scaling = "results/scaling"
finetune = "results/finetune"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from cell_synergy.core.config import read_param, read_section
from cell_synergy.figures import style
from cell_synergy.studies.scaling import ALL_LABELS, DRAWN_LABELS, FROZEN, PRIOR, TUNED
from cell_synergy.studies.scaling.curves import better_single, crossovers, curves, left_out, read

style.style()
focal, datasets = read_param("method"), read_param("datasets")
expert = read_param("experts")["finetuned"]
methods = [focal, "concat", "image", "expression"]
scores = pd.concat([read(Path(scaling), Path(finetune), d, methods) for d in datasets])
scores = scores[scores["metric"].isin(["macro_f1", "r2", ""])]
lines = curves(scores)
best = better_single(scores).set_index(["dataset", "task"])["method"]
against = crossovers(scores)
against[against["second"] == focal].round(3)

# %%
absent = left_out(scores)
absent

# %%
tones = {
    focal: style.FOCUS, "concat": style.PLAIN, TUNED: "#d98e04", FROZEN: "#8a8a8a",
    "single": "#333333", PRIOR: "black",
}  # fmt: skip
names = {
    focal: style.NAMES.get(focal, focal), "concat": "concatenation, frozen experts",
    TUNED: f"{expert}, fine-tuned", FROZEN: f"{expert}, frozen",
    "single": "better single expert, frozen", PRIOR: "label shares alone",
}  # fmt: skip


def draw(axes, rows, tone, labels):
    """Draw one curve with its interval and draws."""
    rows = rows[rows["labels"] == labels].sort_values("pairs")
    solid = labels == DRAWN_LABELS
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
    spec, own = read_section(f"data.{dataset}"), lines[lines["dataset"] == dataset]
    if own.empty:
        tried = (absent["dataset"] == dataset).any()
        words = "too few training pairs" if tried else "no task of scaling.tasks"
        style.tell(row[0], f"{words} in this data set")
        row[0].set_title(style.title(dataset, spec["source"] == "simulator"), pad=13)
    for axes, task in zip(row, own["task"].unique(), strict=False):
        here = own[own["task"] == task]
        for arm, tone in tones.items():
            method = best[dataset, task] if arm == "single" else arm
            rows = here[here["method"] == method]
            if arm == PRIOR:
                null = rows[rows["labels"] == DRAWN_LABELS].sort_values("pairs")
                axes.plot(null["pairs"], null["score"], color=tone, lw=0.9, ls=":")
                continue
            for labels in (DRAWN_LABELS, ALL_LABELS):
                draw(axes, rows, tone, labels)
            drawn = scores[
                (scores["dataset"] == dataset) & (scores["task"] == task)
                & (scores["method"] == method) & (scores["labels"] == DRAWN_LABELS)
                & (scores["note"] == "")
            ]  # fmt: skip
            dots = drawn.groupby(["fraction", "draw", "seed"])[["pairs", "value"]].mean()
            axes.scatter(dots["pairs"], dots["value"], s=4, color=tone, alpha=0.5, lw=0, zorder=2)
        case = against[
            (against["dataset"] == dataset) & (against["task"] == task)
            & (against["second"] == focal) & (against["labels"] == DRAWN_LABELS)
        ]  # fmt: skip
        words = case["said"].iloc[0] if len(case) else ""
        for arm in (TUNED, focal):
            words = words.replace(arm, "fine-tuned" if arm == TUNED else names[arm])
        if len(case) and np.isfinite(case["crossing"].iloc[0]):
            axes.axvline(case["crossing"].iloc[0], color="black", lw=0.5, ls=(0, (1, 1)))
        axes.set_xscale("log")
        ticks = here.sort_values("pairs").drop_duplicates("fraction")
        shares = [
            f"{n:.0f}\n{f:g} %" for n, f in zip(ticks["pairs"], ticks["fraction"], strict=True)
        ]
        axes.set_xticks(ticks["pairs"], shares)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(labelsize=6, length=2, which="both")
        metric = "R$^2$" if here["metric"].iloc[0] == "r2" else "macro F1"
        mark = ", transductive" if spec["standardise"] == "donor" else ""
        axes.set_ylabel(f"{metric}{mark}", fontsize=7)
        place = style.title(dataset, spec["source"] == "simulator")
        axes.set_title(f"{place}: {task.replace('_', ' ')}", pad=13)
        gone = absent[(absent["dataset"] == dataset) & (absent["task"] == task)]
        gone = gone[(gone["labels"] == DRAWN_LABELS) & ~gone["fraction"].isin(ticks["fraction"])]
        reasons = [f"{f:g} %" for f in gone["fraction"]]
        reasons = f"left out, too few: {', '.join(reasons)}" if reasons else ""
        for at, side, text in ((0, "left", words), (1, "right", reasons)):
            axes.text(
                at, 1.02, text, transform=axes.transAxes, fontsize=6, color="#555555", ha=side,
            )  # fmt: skip
    for axes in row[max(own["task"].nunique(), 1) :]:
        axes.set_visible(False)
for axes in grid[-1] if len(own) else []:  # of the last data set
    axes.set_xlabel("training pairs", fontsize=7)
handles = [
    Line2D([], [], color=tone, lw=1.3, ls=":" if arm == PRIOR else "-", label=names[arm])
    for arm, tone in tones.items()
]
handles.append(Line2D([], [], color="black", lw=0.8, ls=(0, (4, 2)), label="all labels known"))
if len(lines):
    fig.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=6.5)
style.save(fig, Path(figure))
