# %% [markdown]
# # SIS by method and task
# Each point is a test donor. The bar is the Synergistic Information Score: the mean gain over the
# better single expert, relative to its score. The line is the 95 % interval over donors, and a star
# marks a gain above zero after correction for the ten methods (p < 0.05). Grey rows are controls.
# Scores are macro F1 (classes) or R2 of linear probes.

# %% tags=["parameters"]
figure = "figures/sis"
scores = "results/probe"
sis = "results/sis"
labels = "data/labels"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from cell_synergy.core.config import read_param, read_section
from cell_synergy.core.names import TRANSDUCTIVE
from cell_synergy.data.label_files import read_task_table
from cell_synergy.figures import style
from cell_synergy.scoring.tables import (
    ALL_FOLDS,
    headline_rows,
    read_methods,
    read_sis,
    sis_by_donor,
)

style.set_style()
methods, focal = list(read_section("models")), read_param("method")
datasets, circular = read_param("datasets"), read_section("circular")
task_tables = {d: read_task_table(Path(labels), d) for d in datasets}
listed = style.order([m for m in methods if m not in style.UNIMODAL])
donors = {d: sis_by_donor(read_methods(Path(scores), d, methods)) for d in datasets}
donors = {d: headline_rows(table) for d, table in donors.items()}
overall = {d: headline_rows(read_sis(Path(sis), d), fold=ALL_FOLDS) for d in datasets}
donors["lung" if "lung" in donors else datasets[0]].head()

# %%
columns = max([1, *(len(task_tables[dataset].tasks) for dataset in datasets)])
height = 0.19 * len(listed) + 0.75
fig, grid = plt.subplots(
    len(datasets), columns, figsize=(1.55 * columns + 1.0, height * len(datasets)), squeeze=False
)
for row, dataset in zip(grid, datasets, strict=True):
    table, tasks = donors[dataset], list(task_tables[dataset].tasks.index)
    if not tasks:
        style.write_message(row[0], "no task in this data set")
    for axes, task in zip(row, tasks, strict=False):
        rows = table[table["task"] == task]
        if rows.empty:
            axes.set(title=f"{task.replace('_', ' ')}: not scored", xticks=[], yticks=[])
            continue
        for y, method in enumerate(listed):
            points = rows.loc[rows["method"] == method, "sis"].dropna().to_numpy()
            if len(points) == 0:
                axes.text(0, y, " undefined: no positive single score", va="center", fontsize=4)
                continue
            tone = style.colour(method, focal)
            axes.barh(y, points.mean(), height=0.62, color=tone, alpha=0.45, lw=0)
            spread = np.linspace(-0.18, 0.18, len(points)) if len(points) > 1 else [0]
            axes.scatter(points, y + np.array(spread), s=5, color=tone, lw=0, zorder=3)
            total = overall[dataset].set_index(["task", "method"]).loc[(task, method)]
            axes.plot([total["low"], total["high"]], [y] * 2, color="black", lw=0.8, zorder=4)
            if total["p_corrected"] < 0.05:
                axes.text(1.01, y, "*", transform=axes.get_yaxis_transform(), va="center")
        axes.axvline(0, color="black", lw=0.6)
        axes.set_ylim(len(listed) - 0.4, -0.6)
        axes.set_yticks(range(len(listed)), [style.METHOD_NAMES.get(m, m) for m in listed])
        if axes is not row[0]:
            axes.set_yticklabels([])
        best = rows["best"].iloc[0]
        metric = "R$^2$" if rows["metric"].iloc[0] == "r2" else "F1"
        note = ", circular" if task in circular.get(dataset, []) else ""
        axes.set_title(task.replace("_", " "), loc="left")
        note += TRANSDUCTIVE if rows["probe"].iloc[0].endswith(TRANSDUCTIVE) else ""
        axes.set_xlabel(f"SIS over {best} ({metric}{note})", fontsize=6)
        axes.tick_params(labelsize=6, length=2)
    for axes in row[max(len(tasks), 1) :]:
        axes.set_visible(False)
    row[0].annotate(
        style.title(dataset, task_tables[dataset].simulated), (0, 1), (-78, 20),
        xycoords="axes fraction", textcoords="offset points", fontweight="bold", fontsize=10,
    )  # fmt: skip
fig.tight_layout(h_pad=2.2, w_pad=0.6)
style.save(fig, Path(figure))
