# %% [markdown]
# # Gain of every method over both experts, by task
# Each point is a test donor. The bar is the gain: what a probe of the method's embedding knows
# about the label beyond a probe of *each* expert (the smaller of the two differences), in usable
# bits as a share of the label's entropy H, or in R2 for a composition. The line is the 95 %
# interval over donors. A star marks a gain above zero (one-sided sign-flip test over donors,
# corrected for the methods compared, p < 0.05). Grey rows are controls, which have no star: the
# last are methods fitted on one expert paired with itself, so that a method's gain is cross-modal
# only where it exceeds theirs. The dashed line is the Bayes gain of simulated tissue: what a
# perfect reader of both experts' states would gain. Under each title: what either expert knows by
# itself. All probes are linear.

# %% tags=["parameters"]
figure = "figures/sis"
scores = "results/probe"
sis = "results/sis"
truth = "results/truth"
labels = "data/labels"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cell_synergy.core.config import read_param, read_section
from cell_synergy.core.names import DONOR, TRANSDUCTIVE, UNIMODAL
from cell_synergy.data.label_files import read_task_table
from cell_synergy.figures import style
from cell_synergy.scoring.tables import (
    ALL_FOLDS,
    chance_stars,
    headline_rows,
    read_methods,
    read_sis,
    sis_by_donor,
)

style.set_style()
methods, focal = list(read_section("models")), read_param("method")
datasets, circular = read_param("datasets"), read_section("circular")
task_tables = {d: read_task_table(Path(labels), d) for d in datasets}
listed = style.order([m for m in methods if m not in UNIMODAL])
donors = {d: sis_by_donor(read_methods(Path(scores), d, methods)) for d in datasets}
donors = {d: headline_rows(table) for d, table in donors.items()}
tables = {d: read_sis(Path(sis), d) for d in datasets}
overall = {d: headline_rows(table, fold=ALL_FOLDS) for d, table in tables.items()}
bayes = {d: pd.read_csv(Path(truth, f"{d}.csv")) for d in datasets}
bayes = {d: table[table["seen"] == "embeddings"].set_index("task") for d, table in bayes.items()}
overall["lung" if "lung" in overall else datasets[0]].head()


# %%
def draw(axes, dataset, task):
    """Draw the gains of all methods on one task."""
    rows = donors[dataset][donors[dataset]["task"] == task]
    if rows.empty:
        axes.set_title(f"{task.replace('_', ' ')}: not scored", loc="left")
        axes.set(xticks=[], yticks=[])
        return
    table = overall[dataset].set_index(["task", "method"]).loc[task]
    for y, method in enumerate(listed):
        points, total = rows.loc[rows["method"] == method, "gain"].to_numpy(), table.loc[method]
        tone = style.colour(method, focal)
        axes.barh(y, total["gain"], height=0.62, color=tone, alpha=0.45, lw=0)
        spread = np.linspace(-0.18, 0.18, len(points)) if len(points) > 1 else [0]
        axes.scatter(points, y + np.array(spread), s=5, color=tone, lw=0, zorder=3)
        axes.plot([total["gain_low"], total["gain_high"]], [y] * 2, color="black", lw=0.8, zorder=4)
        if total["p_corrected"] < 0.05:
            axes.text(1.01, y, "*", transform=axes.get_yaxis_transform(), va="center")
    axes.axvline(0, color="black", lw=0.6)
    if task in bayes[dataset].index:
        gain = bayes[dataset].loc[task, "gain"]
        axes.axvline(gain, color="black", lw=0.9, ls=(0, (4, 2)), zorder=1)
    axes.set_ylim(len(listed) - 0.4, -0.6)
    axes.set_yticks(range(len(listed)), [style.METHOD_NAMES.get(m, m) for m in listed])
    is_r2 = table["metric"].iloc[0] == "r2"
    # Adding 0.0 turns a negative zero into zero.
    known = ", ".join(f"{e} {round(table[f'{e}_score'].iloc[0], 2) + 0.0:.2f}" for e in UNIMODAL)
    known += " R$^2$" if is_r2 else " bits"
    axes.set_title(known, loc="left", fontsize=5.5, fontweight="normal", pad=2)
    axes.annotate(
        task.replace("_", " "), (0, 1), (0, 11), xycoords="axes fraction",
        textcoords="offset points", fontweight="bold", fontsize=9,
    )  # fmt: skip
    note = ", circular" if task in circular.get(dataset, []) else ""
    note += TRANSDUCTIVE if rows["probe"].iloc[0].endswith(TRANSDUCTIVE) else ""
    axes.set_xlabel(("gain in R$^2$" if is_r2 else "gain / H") + note, fontsize=6)
    axes.tick_params(labelsize=6, length=2)


# %%
columns = max([1, *(len(task_tables[dataset].tasks) for dataset in datasets)])
height = 0.19 * len(listed) + 0.85
fig, grid = plt.subplots(
    len(datasets), columns, figsize=(1.55 * columns + 1.2, height * len(datasets)), squeeze=False
)
for row, dataset in zip(grid, datasets, strict=True):
    tasks = list(task_tables[dataset].tasks.index)
    if not tasks:
        style.write_message(row[0], "no task in this data set")
    for axes, task in zip(row, tasks, strict=False):
        draw(axes, dataset, task)
        if axes is not row[0]:
            axes.set_yticklabels([])
    for axes in row[max(len(tasks), 1) :]:
        axes.set_visible(False)
    row[0].annotate(
        style.title(dataset, task_tables[dataset].simulated), (0, 1), (-88, 28),
        xycoords="axes fraction", textcoords="offset points", fontweight="bold", fontsize=10,
    )  # fmt: skip
fig.tight_layout(h_pad=2.4, w_pad=0.6)
shown = pd.concat(table[table["task"] != DONOR] for table in overall.values())
stars, families, expected = chance_stars(shown)
fig.text(
    0.5, 0, f"* gain above zero after correction, one-sided p < 0.05: {stars} stars in {families} "
    f"panels; of methods without any gain, chance would put a star into at most {expected:.1f} "
    "panels.   - - Bayes gain after the experts (simulated tissue)",
    ha="center", va="top", fontsize=7,
)  # fmt: skip
style.save(fig, Path(figure))
