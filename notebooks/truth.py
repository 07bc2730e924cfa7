# %% [markdown]
# # True decomposition and measured gains of the simulated data sets
# Left: information about the label of each task as a share of its entropy H, three bars each: in
# the latent states that the two modalities show; in these states as a linear probe decodes them
# from each expert's embedding (an estimate); and estimated from embeddings and labels, without the
# states. Right: the Bayes gain of the decoded states over both experts, as a share of H (dashes),
# which is no bound because decoding loses information; and the measured gain of every method
# (points) and control (crosses) under linear probes.

# %% tags=["parameters"]
figure = "figures/truth"
sis = "results/sis"
information = "results/information"
truth = "results/truth"
labels = "data/labels"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cell_synergy.core.config import read_param, read_section
from cell_synergy.data.label_files import read_task_table
from cell_synergy.figures import style
from cell_synergy.scoring.tables import ALL_FOLDS, headline_rows, read_sis

style.set_style()
methods, focal = list(read_section("models")), read_param("method")
task_tables = {d: read_task_table(Path(labels), d) for d in read_param("datasets")}
simulated = [d for d, table in task_tables.items() if table.simulated]
bars = ("tissue", 1, -0.27), ("embeddings", 0.6, 0), ("estimated", 0.3, 0.27)
column_of = dict(zip(("R", "U_image", "U_expression", "S"), style.PARTS, strict=True))
looks = {  # of single methods, then of groups
    "concat": ("s", style.BASELINE), focal: ("o", style.FOCUS),
    "bilinear": ("D", style.BEYOND), "bilinear_full": ("^", style.BEYOND),
    "the paper's methods": ("o", style.PLAIN), "beyond the paper": ("d", style.BEYOND),
    "controls": ("x", style.CONTROL), "one expert twice": ("x", style.SELF_PAIRED),
}  # fmt: skip
group_of = {m: name for name, members in style.groups(methods).items() for m in members}


def decompositions(dataset):
    """Return the decomposition of every task: of states, of decoded states, and estimated."""
    exact = pd.read_csv(Path(truth, f"{dataset}.csv"))
    estimates = pd.read_csv(Path(information, f"{dataset}.csv"))
    pair = estimates[(estimates["method"] == "pair") & estimates["quantity"].isin(column_of)]
    pair = pair.pivot_table(index="task", columns="quantity", values="bits")
    tables = {seen: rows.set_index("task") for seen, rows in exact.groupby("seen")}
    return tables | {"estimated": pair.rename(columns=column_of).clip(lower=0)}


def draw_parts(axes, parts_of, tasks):
    """Draw the decomposition of every task, as shares of the label's entropy."""
    entropy = parts_of["tissue"]["entropy"].loc[tasks].to_numpy()
    for seen, alpha, offset in bars:
        rows = parts_of[seen].reindex(index=tasks, columns=list(style.PARTS))
        bottom, x = np.zeros(len(tasks)), np.arange(len(tasks)) + offset
        for part, tone in style.PARTS.items():
            height = rows[part].to_numpy() / entropy
            axes.bar(x, height, 0.24, bottom, color=tone, lw=0, alpha=alpha)
            bottom += height
    axes.set(xlim=(-0.6, len(tasks) - 0.4), ylim=(0, 1.04), ylabel="information / H")


def draw_gains(axes, gains, bayes, tasks):
    """Draw the gain of every method on every task beside the Bayes gain."""
    axes.axhline(0, color="black", lw=0.5)
    groups = style.groups(methods)
    for x, task in enumerate(tasks):
        axes.plot([x - 0.42, x + 0.42], [bayes[task]] * 2, color="black", lw=1.1, ls=(0, (3, 1.5)))
        for group, members in groups.items():
            for step, method in enumerate(members):
                shift = {"the paper's methods": -0.34, "beyond the paper": 0.0}.get(group, 0.2)
                marker, tone = looks.get(method, looks[group])
                axes.scatter(
                    x + shift + 0.2 * step / len(members), gains[task].get(method, np.nan),
                    s=13 if method in looks else 8, marker=marker, color=tone, lw=0.7,
                    zorder=4 if method in looks else 3,
                )  # fmt: skip
    axes.set(xlim=(-0.6, len(tasks) - 0.4), ylabel="gain over both experts / H")
    axes.grid(axis="y", lw=0.3, color="#dddddd")


# %%
if not simulated:
    fig, axes = plt.subplots(figsize=(5, 0.6))
    style.write_message(axes, "no simulated data set in this study: no truth is known")
else:
    fig, grid = plt.subplots(
        len(simulated), 2, figsize=(7.1, 1.75 * len(simulated) + 0.9), squeeze=False,
        layout="constrained", width_ratios=(1, 1.3), sharey="col",
    )  # fmt: skip
    for (left, right), dataset in zip(grid, simulated, strict=True):
        name = style.title(dataset, True, task_tables[dataset].role)
        left.set_title(name, fontsize=8, pad=4)
        parts_of = decompositions(dataset)
        if "tissue" not in parts_of:
            for axes in (left, right):
                style.write_message(axes, "no classification task in this data set")
            continue
        tasks = style.task_order(list(parts_of["tissue"].index))
        table = headline_rows(read_sis(Path(sis), dataset), fold=ALL_FOLDS)
        gains = {task: rows.set_index("method")["gain"] for task, rows in table.groupby("task")}
        draw_parts(left, parts_of, tasks)
        draw_gains(right, gains, parts_of["embeddings"]["gain"], tasks)
        for axes in (left, right):
            axes.set_xticks(
                range(len(tasks)), list(map(style.task_name, tasks)), rotation=25, ha="right",
                rotation_mode="anchor",
            )  # fmt: skip
            axes.tick_params(labelsize=6, length=2)
            axes.yaxis.label.set_size(6.5)
    handles = [Patch(color=t, lw=0, label=p.replace("_", " to ")) for p, t in style.PARTS.items()]
    handles += [
        Patch(color="#555555", lw=0, alpha=alpha, label=label)
        for (_, alpha, _), label in zip(
            bars, ("in the tissue", "decoded", "estimated from labels"), strict=True
        )
    ]
    handles.append(Line2D([], [], color="black", lw=1.1, ls=(0, (3, 1.5)), label="Bayes gain"))
    others = {"the paper's methods": "the paper's others", "beyond the paper": "others beyond it"}
    names = style.METHOD_NAMES | others
    present = {*methods, *group_of.values()}
    handles += [
        Line2D([], [], marker=marker, ls="", ms=4, color=tone, label=names.get(m, m))
        for m, (marker, tone) in looks.items() if m in present
    ]  # fmt: skip
    fig.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=6.2,
               handlelength=1.3, columnspacing=1)  # fmt: skip
style.save(fig, Path(figure))
