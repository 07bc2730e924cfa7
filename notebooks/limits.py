# %% [markdown]
# # What the study, and studies to come, can find
# Above, by task: the detection limit of a gain over both experts (linear probe), which is the
# smallest true gain that the test finds with the stated power, of the focal method and of all
# methods of the paper; the Bayes gain of simulated tissue after the experts (what a perfect reader
# of both experts' decoded states would gain), and its synergy, which is the ceiling of what fusion
# can add; and the gain of the focal method as measured, with its 95 % interval (an arrow: below
# the axis). Where the limit is above the Bayes gain, nothing is to be found. Below, left: the limit
# by numbers of test donors and of observations of each. Middle: ceiling of synergy of an XOR by the
# accuracy with which each expert shows a single binary state, beside the limits of eight donors.
# Right: what readers reach of this ceiling on a drawn twin, by training pairs and labels.

# %% tags=["parameters"]
figure = "figures/limits"
limits = "results/limits.csv"
reach = "results/reach.csv"
labels = "data/labels"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from cell_synergy.core.config import read_param
from cell_synergy.core.names import LINEAR, NONLINEAR
from cell_synergy.data.label_files import read_task_table
from cell_synergy.figures import style
from cell_synergy.scoring.families import PAPER

style.set_style()
datasets, focal, power = read_param("datasets"), read_param("method"), read_param("limits.power")
task_tables = {d: read_task_table(Path(labels), d) for d in datasets}
text = dict.fromkeys(("dataset", "task", "probe", "metric", "method", "family"), str)
table, reached = pd.read_csv(limits, dtype=text), pd.read_csv(reach)
design = table[table["table"] == "design"]
study = table[(table["table"] == "study") & (table["quantity"] == "gain")]
study = study[study["probe"].str.startswith(LINEAR)]
of_focal = study[study["method"] == focal].set_index(["dataset", "task"])
family = study[study["family"] == PAPER].groupby(["dataset", "task"])["limit"].agg(["min", "max"])
columns = ["observations", "gain", "limit", "true_gain", "ceiling", "power"]
of_focal[columns].round(3)

# %%
CEILING, RANGE = "#f0c6c2", "#9aa5b1"
finite = study[["limit", "true_gain"]].to_numpy()
WIDEST = max([0.3, *finite[np.isfinite(finite)]]) + 0.04
tones = plt.cm.viridis(np.linspace(0.15, 0.75, max(design["observations"].nunique(), 1)))
looks = {  # of readers: method and probe
    ("comm", LINEAR): style.FOCUS, ("bilinear", LINEAR): style.BEYOND,
    ("concat", NONLINEAR): style.BASELINE,
}  # fmt: skip


def tasks_of(dataset):
    """Return the tasks of a data set that have a limit, in the order of figures."""
    tasks = style.task_order(list(task_tables[dataset].tasks.index))
    return [task for task in tasks if (dataset, task) in of_focal.index]


def draw_study(axes, dataset):
    """Draw limits, Bayes gain and measured gain of every task of a data set."""
    table = task_tables[dataset]
    axes.set_title(style.title(dataset, table.simulated), fontsize=8, pad=12)
    axes.annotate(
        table.role, (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points",
        fontsize=6.5,
    )  # fmt: skip
    tasks = tasks_of(dataset)
    if not tasks:
        style.write_message(axes, "no task of this data set has a limit")
        return
    for y, task in enumerate(tasks):
        row, (low, high) = of_focal.loc[(dataset, task)], family.loc[(dataset, task)]
        if not np.isfinite(row["limit"]):
            axes.text(0.01, y, f"{row['donors']:.0f} donors: no limit", fontsize=6, va="center")
            continue
        if row["ceiling"] > 0:
            axes.barh(y, row["ceiling"], 0.7, color=CEILING, lw=0)
        axes.plot([low, high], [y, y], color=RANGE, lw=2.5, solid_capstyle="butt")
        axes.plot(row["limit"], y, marker="|", ms=8, mew=1.8, color=style.FOCUS, zorder=4)
        axes.plot(row["true_gain"], y, marker="D", ms=3.6, color="black", lw=0, zorder=3)
        is_off = row["gain"] < -0.05
        axes.plot(
            max(row["gain"], -0.06), y + 0.2, marker="<" if is_off else "o", ms=3, zorder=5,
            color=style.FOCUS,
        )  # fmt: skip
        if not is_off:
            ends = [row["gain_low"], row["gain_high"]]
            axes.plot(ends, [y + 0.2] * 2, color=style.FOCUS, lw=0.8)
    axes.axvline(0, color="black", lw=0.5)
    names = [f"{style.task_name(task)}{note(dataset, task)}" for task in tasks]
    axes.set_yticks(range(len(tasks)), names)
    if axes.get_subplotspec().colspan.start and tasks == tasks_of(datasets[0]):
        axes.set_yticklabels([])
    axes.set(ylim=(len(tasks) - 0.4, -0.6), xlim=(-0.09, WIDEST), xlabel="gain / H")


def note(dataset, task):
    """Return what a task's name is followed by if its gains are not bits."""
    return ", R$^2$" if of_focal.loc[(dataset, task), "metric"] == "r2" else ""


def draw_donors(axes):
    """Draw the limit by number of donors, for every number of observations."""
    once = design.drop_duplicates(["donors", "observations"]).sort_values("donors")
    for tone, (count, rows) in zip(tones, once.groupby("observations"), strict=False):
        axes.plot(
            rows["donors"], rows["limit"], "o-", ms=2.5, lw=1, color=tone, label=f"{count:.0f}"
        )
    axes.legend(title="observations per donor", fontsize=6, title_fontsize=6, frameon=False)
    axes.set_xticks(sorted(design["donors"].unique()))
    axes.set(xlim=(design["donors"].min() - 0.7, None), ylim=(0, None))
    axes.set(xlabel="test donors", ylabel="detection limit / H")
    axes.set_title("detection limits", fontsize=7.5)


def draw_ceiling(axes):
    """Draw the ceiling by accuracy of the experts, and the limits of the usual number of donors."""
    donors = min(design["donors"], key=lambda count: abs(count - 8))
    rows = design.drop_duplicates("accuracy").sort_values("accuracy")
    axes.plot(rows["accuracy"], rows["ceiling"], "o-", ms=2.5, lw=1.2, color=style.FOCUS)
    axes.text(
        rows["accuracy"].iloc[-1], rows["ceiling"].iloc[-1], "ceiling ", fontsize=6, ha="right",
        va="bottom", color=style.FOCUS,
    )  # fmt: skip
    same = design[design["donors"] == donors].drop_duplicates("observations")
    for tone, (_, row) in zip(tones, same.sort_values("observations").iterrows(), strict=False):
        axes.axhline(row["limit"], color=tone, lw=0.9, ls=(0, (4, 2)))
    axes.set(ylim=(0, 1), xlabel="accuracy of single states", ylabel="synergy / H")
    axes.set_xticks(rows["accuracy"], [f"{x:g}".lstrip("0") for x in rows["accuracy"]])
    axes.set_title(f"ceiling; limits, {donors:.0f} donors", fontsize=7.5)


def draw_reach(axes, task):
    """Draw what every reader reaches of the ceiling by pairs, for every number of labels."""
    rows = reached[reached["task"] == task]
    for style_of_line, (_, drawn) in zip((":", "-"), few_and_many(rows), strict=False):
        for (method, probe), tone in looks.items():
            curve = drawn[(drawn["method"] == method) & (drawn["probe"] == probe)]
            curve = curve.groupby("pairs", dropna=False)[["reached"]].mean().reset_index()
            if curve["pairs"].isna().all():
                for level in curve["reached"]:
                    axes.axhline(level, color=tone, lw=1, ls=style_of_line)
            else:
                axes.plot(
                    curve["pairs"], curve["reached"], color=tone, lw=1.2, ls=style_of_line,
                    marker="o", ms=2.5,
                )  # fmt: skip
    ticks = sorted(rows["pairs"].dropna().unique())
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(ylim=(min(0, rows["reached"].min()) - 0.02, 1.05))
    axes.axhline(1, color="black", lw=0.5)
    axes.set(xlabel="training pairs", ylabel="share of the ceiling")
    axes.set_title(f"reached: {style.task_name(task)}", fontsize=7.5)


def few_and_many(rows):
    """Return the rows with fewest and with most labels."""
    by_labels = dict(list(rows.groupby("labels")))
    return [(count, by_labels[count]) for count in dict.fromkeys((min(by_labels), max(by_labels)))]


# %%
tasks = list(reached["task"].unique())
most = max([1, *(len(table.tasks) for table in task_tables.values())])
lines = -(-len(datasets) // 3)
above = 0.17 * most + 0.9
fig = plt.figure(figsize=(7.1, above * lines + 2.6), layout="constrained")
top, legend, bottom = fig.subfigures(3, 1, height_ratios=[above * lines, 0.4, 2.2])
grid = top.subplots(lines, min(len(datasets), 3), squeeze=False)
for axes, dataset in zip(grid.ravel(), datasets, strict=False):
    draw_study(axes, dataset)
for axes in grid.ravel()[len(datasets) :]:
    axes.set_visible(False)
panels = bottom.subplots(1, 2 + len(tasks), squeeze=False)[0]
draw_donors(panels[0])
draw_ceiling(panels[1])
for axes, task in zip(panels[2:], tasks, strict=True):
    draw_reach(axes, task)
for axes in [*grid.ravel(), *panels]:
    axes.tick_params(labelsize=6, length=2)
    axes.xaxis.label.set_size(6.5)
    axes.yaxis.label.set_size(6.5)
name = style.METHOD_NAMES.get(focal, focal)
handles = [
    Line2D([], [], marker="|", ls="", ms=8, mew=1.8, color=style.FOCUS,
           label=f"limit, {name} ({power:.0%} power)"),
    Line2D([], [], color=RANGE, lw=2.5, label="limits of the paper's methods"),
    Line2D([], [], marker="D", ls="", ms=3.6, color="black", label="Bayes gain after the experts"),
    Patch(color=CEILING, lw=0, label="its synergy"),
    Line2D([], [], marker="o", ms=3, lw=0.8, color=style.FOCUS, label=f"{name}, measured"),
]  # fmt: skip
legend.legend(handles=handles, loc="center", ncols=5, fontsize=6.2, columnspacing=1)
handles = [
    Line2D([], [], color=tone, lw=1.2,
           label=style.METHOD_NAMES.get(m, m) + (", nonlinear probe" if p == NONLINEAR else ""))
    for (m, p), tone in looks.items()
]  # fmt: skip
for line, (count, _) in zip((":", "-"), few_and_many(reached), strict=False):
    handles.append(Line2D([], [], color="#555555", lw=1.2, ls=line, label=f"{count:,} labels"))
bottom.legend(handles=handles, loc="outside lower right", ncols=5, fontsize=6.2, columnspacing=1)
style.save(fig, Path(figure))
