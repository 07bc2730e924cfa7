# %% [markdown]
# # Gain of every method over both experts, by task
# Colour and number: the gain, which is what a linear probe of the method's embedding knows about
# the label beyond a probe of *each* expert (the smaller of the two differences), in usable bits as
# a share of the label's entropy H, or in R2 for a regression; numbers below .01 are left out. Bold
# with a star: gain above zero (one-sided sign-flip test over donors, corrected for the methods
# compared, p < 0.05). Controls have no star: what methods fitted on one expert paired with itself
# gain is no fusion, and a method's gain is cross-modal only where it exceeds theirs. Above the
# methods, for simulated tissue: what the label is made of, and the Bayes gain (what a perfect
# reader of both experts' decoded states would gain). Below these: what either expert alone knows.

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
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm

from cell_synergy.core.config import read_param, read_section
from cell_synergy.core.names import DONOR, TRANSDUCTIVE, UNIMODAL
from cell_synergy.data.label_files import read_task_table
from cell_synergy.figures import style
from cell_synergy.scoring.tables import (
    ALL_FOLDS,
    SIGNIFICANCE,
    chance_stars,
    headline_rows,
    read_sis,
)

style.set_style()
methods, focal = list(read_section("models")), read_param("method")
datasets, circular = read_param("datasets"), read_section("circular")
xor = read_param("claims.negative_controls")
task_tables = {d: read_task_table(Path(labels), d) for d in datasets}
tables = {d: headline_rows(read_sis(Path(sis), d), fold=ALL_FOLDS) for d in datasets}
tables = {d: t[t["task"] != DONOR] for d, t in tables.items()}
exact = {d: pd.read_csv(Path(truth, f"{d}.csv")) for d in datasets}
exact = {d: {s: r.set_index("task") for s, r in t.groupby("seen")} for d, t in exact.items()}
grouped = style.groups(methods)
wide = {d: t.pivot_table("gain", "method", "task") for d, t in tables.items()}
wide["lung" if "lung" in wide else datasets[0]].round(3)


# %%
GAIN = TwoSlopeNorm(0, -0.8, 0.4)  # losses of unique content are larger than gains
SHARE = {
    expert: LinearSegmentedColormap.from_list(expert, ["white", tone])
    for expert, tone in zip(UNIMODAL, (style.IMAGE, style.EXPRESSION), strict=True)
}
STRIPS = {
    "parts": "what the label is made of", "bayes": "Bayes gain after the experts",
    "image": "image alone, share of H", "expression": "expression alone, share of H",
}  # fmt: skip
is_simulated = any(table.simulated for table in task_tables.values())
rows, headings, bottom = {}, {}, 0.0  # y of every strip and method, and of groups' headings
for strip in [s for s in STRIPS if is_simulated or s in UNIMODAL]:
    rows[strip], bottom = bottom, bottom + 1
for heading, members in grouped.items():
    headings[heading], bottom = bottom, bottom + 0.85
    for method in members:
        rows[f"method {method}"], bottom = bottom, bottom + 1
bottom -= 0.5


def columns_of(dataset):
    """Return the x position of every task; a gap comes before tasks scored in R2."""
    kinds = task_tables[dataset].tasks["kind"]
    tasks = style.task_order(list(kinds.index))
    tasks = sorted(tasks, key=lambda task: kinds[task] != "classification")
    classes = sum(kinds == "classification")
    gap = 0.35 if 0 < classes < len(tasks) else 0
    return {task: x + gap * (x >= classes) for x, task in enumerate(tasks)}


def scales(dataset):
    """Return, by task, the unit of shares (mean entropy, or 1 for R2) and the observations."""
    table = headline_rows(pd.read_csv(Path(scores, dataset, "image.csv"), dtype={"fold": str}))
    by_task = table.groupby("task")
    unit = by_task["entropy"].mean().where(by_task["metric"].first() == "bits", 1.0)
    return pd.DataFrame({"unit": unit, "observations": by_task["n"].sum()})


def column_name(dataset, task):
    """Return the label of a column."""
    tissue = exact[dataset].get("tissue", pd.DataFrame())
    is_xor = task in xor and task in tissue.index and tissue.loc[task, "synergy"] > 0.5
    name = style.task_name(task) + (" (XOR)" if is_xor else "")
    name += "†" if task in circular.get(dataset, []) else ""
    is_class = task_tables[dataset].tasks.loc[task, "kind"] == "classification"
    return name if is_class else f"{name}, R$^2$"


def cell(axes, x, y, value, tone, has_star=False):
    """Draw one cell with its number, which is left out below .01 if there is no star."""
    axes.add_patch(plt.Rectangle((x - 0.5, y - 0.5), 1, 1, fc=tone, ec="white", lw=0.5))
    if abs(value) < 0.01 and not has_star:
        return
    text = f"{value:.2f}".replace("0.", ".").replace("-", "\N{MINUS SIGN}") + (
        "*" if has_star else ""
    )
    is_dark = np.dot(tone[:3], (0.3, 0.59, 0.11)) < 0.55
    axes.text(
        x, y + 0.05, text, ha="center", va="center", fontsize=5.8,
        fontweight="bold" if has_star else "normal", color="white" if is_dark else "#1a1a1a",
    )  # fmt: skip


def draw_truth(axes, dataset, task, x):
    """Draw what a label is made of, and its Bayes gain."""
    parts, gain = exact[dataset]["tissue"].loc[task], exact[dataset]["embeddings"].loc[task, "gain"]
    start = x - 0.44
    for part, tone in style.PARTS.items():
        width = 0.88 * max(parts[part] / parts["entropy"], 0)
        axes.add_patch(plt.Rectangle((start, rows["parts"] - 0.3), width, 0.6, fc=tone, lw=0))
        start += width
    cell(axes, x, rows["bayes"], gain, plt.cm.RdBu_r(GAIN(gain)))


def draw(axes, dataset):
    """Draw the panel of one data set."""
    columns, unit = columns_of(dataset), scales(dataset)
    axes.set(xlim=(-0.52, max([0, *columns.values()]) + 0.52), ylim=(bottom + 0.02, -0.55))
    if not columns:
        style.write_message(axes, "no task in this data set")
        return 0
    for task, x in columns.items():
        table = tables[dataset][tables[dataset]["task"] == task].set_index("method")
        if "tissue" in exact[dataset] and task in exact[dataset]["tissue"].index:
            draw_truth(axes, dataset, task, x)
        for expert in UNIMODAL if len(table) else ():
            share = table[f"{expert}_score"].iloc[0] / unit.loc[task, "unit"]
            cell(axes, x, rows[expert], share, SHARE[expert](np.clip(share, 0, 1)))
        for method in [m for members in grouped.values() for m in members]:
            y = rows[f"method {method}"]
            if method in table.index:
                gain, p = table.loc[method, ["gain", "p_corrected"]].astype(float)
                cell(axes, x, y, gain, plt.cm.RdBu_r(GAIN(gain)), p < SIGNIFICANCE)
            else:
                axes.text(x, y, "?", ha="center", va="center", fontsize=6, color="#8a8a8a")
    axes.xaxis.tick_top()
    axes.set_xticks(
        list(columns.values()), [column_name(dataset, task) for task in columns], fontsize=6.2,
        rotation=55, ha="left", rotation_mode="anchor",
    )  # fmt: skip
    axes.tick_params(length=0, pad=1)
    axes.spines[:].set_visible(False)
    axes.set_yticks([])
    return unit["observations"].max()


TITLE = 49  # points from a panel to its title, which the names of tasks take


def write_title(axes, dataset, observations):
    """Write name, role, and number of donors and observations above a panel."""
    table, role = tables[dataset], task_tables[dataset].role
    lines = [role] if role else []
    if len(table):
        lines.append(f"{table['n_donors'].max():.0f} donors, {observations:,} observations")
    if table["probe"].str.endswith(TRANSDUCTIVE).any():
        lines.append("features scaled per donor")
    name = style.title(dataset, task_tables[dataset].simulated)
    looks = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    axes.annotate("\n".join(lines), (0, 1), (0, TITLE), fontsize=6.2, linespacing=1.25, **looks)
    above = TITLE + 8.4 * len(lines) + 1
    axes.annotate(name, (0, 1), (0, above), fontsize=8.5, fontweight="bold", **looks)


def write_rows(axes, has_truth):
    """Write the names of strips, groups and methods to the left of a panel."""
    for key, y in rows.items():
        if key in ("parts", "bayes") and not has_truth:
            continue
        method = key.removeprefix("method ")
        axes.annotate(
            STRIPS.get(key) or style.METHOD_NAMES.get(method, method), (0, y), (-3, 0),
            xycoords=axes.get_yaxis_transform(), textcoords="offset points", ha="right",
            va="center", fontsize=6.2, fontweight="bold" if method == focal else "normal",
            color="#1a1a1a",
        )  # fmt: skip
    for heading, y in headings.items():
        axes.annotate(
            heading, (0, y), (-3, -1), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", ha="right", va="center", fontsize=6, color="#6a6a6a",
            fontstyle="italic",
        )  # fmt: skip


# %%
WIDTH, LEFT, SLOT, ROW, GAP, HEAD = 7.1, 1.42, 1.8, 0.15, 0.12, 1.17  # inches
lines = [[]]  # of panels
for dataset in datasets:
    if sum(len(columns_of(d)) for d in [*lines[-1], dataset]) > 26 and lines[-1]:
        lines.append([])
    lines[-1].append(dataset)
panel = ROW * (bottom + 0.57)
height = len(lines) * (panel + HEAD) + 0.5
fig = plt.figure(figsize=(WIDTH, height))
for number, line in enumerate(lines):
    sizes = [max(columns_of(dataset).values(), default=4) + 1.04 for dataset in line]
    size = min((WIDTH - LEFT - GAP * (len(line) - 1)) / sum(sizes), 0.4)
    x, y = LEFT, height - (number + 1) * (panel + HEAD)
    for dataset, count in zip(line, sizes, strict=True):
        axes = fig.add_axes((x / WIDTH, y / height, size * count / WIDTH, panel / height))
        write_title(axes, dataset, draw(axes, dataset))
        if dataset == line[0]:
            write_rows(axes, any(task_tables[d].simulated for d in line))
        x += max(size * count + GAP, SLOT)
place = fig.add_axes((LEFT / WIDTH, 0.33 / height, 1.5 / WIDTH, 0.09 / height))
bar = fig.colorbar(
    ScalarMappable(GAIN, "RdBu_r"), place, orientation="horizontal", extend="both",
    ticks=[-0.8, -0.4, 0, 0.2, 0.4],
)  # fmt: skip
bar.ax.tick_params(labelsize=6, length=2, pad=1)
bar.outline.set_linewidth(0.4)
bar.set_label("gain over both experts: share of H, or R$^2$", fontsize=6.2, labelpad=1)
if is_simulated:
    patches = [plt.Rectangle((0, 0), 1, 1, fc=tone, lw=0) for tone in style.PARTS.values()]
    fig.legend(
        patches, [part.replace("_", " to ") for part in style.PARTS], loc="center left", ncols=4,
        fontsize=6.2, bbox_to_anchor=((LEFT + 1.9) / WIDTH, 0.4 / height), handlelength=1,
        handleheight=0.7, columnspacing=1.2, handletextpad=0.4, borderpad=0,
    )  # fmt: skip
stars, families, expected = chance_stars(pd.concat(tables.values()))
note = (
    f"* above zero, p < .05 after correction: {stars} stars in {families} families of tests.\n"
    f"Where no method gains, chance stars {expected:.1f} families at most."
)
note = note if families else "no test: too few donors"
if any(task in circular.get(d, []) for d in datasets for task in tables[d]["task"]):
    note += "\n† made of the counts that the expression expert reads"
fig.text(
    (LEFT + 1.9) / WIDTH, 0.25 / height, note,
    fontsize=6.2, va="top", linespacing=1.3,
)  # fmt: skip
plt.rcParams["savefig.dpi"] = 200  # the picture of README
style.save(fig, Path(figure))
