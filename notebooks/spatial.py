# %% [markdown]
# # Information of an embedding about the surroundings of its observation
# Columns: target of the neighbours in annuli around an observation; distance 0 is the observation
# itself. Above: mean score over test donors of both experts, concatenation, the focal method and
# the random projection: usable bits about the majority label, or R2 of the composition. Below: gain
# of every fusion method and of some controls over both experts, as a share of the label's entropy H
# or in R2, with the focal method's 95 % interval over donors. In shaded annuli the neighbours are
# in the narrower or wider field of view of the image expert. Right: classification of pairs of
# observations as close together or far apart; each point is a test donor, the bar is their mean,
# and 0.5 is chance. All probes are linear.

# %% tags=["parameters"]
figure = "figures/spatial"
distance = "results/distance"
spatial = "results/spatial"
sis = "results/sis"
labels = "data/labels"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cell_synergy.core.config import read_param, read_section
from cell_synergy.core.names import TRANSDUCTIVE, is_control
from cell_synergy.data.label_files import read_task_table
from cell_synergy.figures import style
from cell_synergy.scoring.tables import ALL_FOLDS, headline_rows, read_methods, read_sis

style.set_style()
methods, focal = list(read_section("models")), read_param("method")
datasets, circular = read_param("datasets"), read_section("circular")
listed = style.selection(methods, focal)
expert = read_section(f"encoders.{read_param('experts.image')}")
FIELDS = {"context_um": "#f3eef8", "field_um": "#e3d8ee"}  # the wider field of view is optional
FIELDS = {key: tone for key, tone in FIELDS.items() if expert.get(key)}
LEVELS = [m for m in ("concat", "random", *style.UNIMODAL, focal) if m in methods]
PAIRS = "consistency"


def curves(dataset):
    """Return gains and scores of every target by distance; the observation itself is at 0."""
    bands = headline_rows(read_sis(Path(distance), dataset), fold=ALL_FOLDS)
    bands = bands.assign(**{c: pd.to_numeric(bands[c]) for c in ("band", "inner_um", "outer_um")})
    centre = headline_rows(read_sis(Path(sis), dataset), fold=ALL_FOLDS)
    centre = centre[centre["task"].isin(set(bands["target"]))]
    centre = centre.assign(target=centre["task"], band=0, inner_um=0.0, outer_um=0.0)
    table = pd.concat([centre, bands])
    return table.assign(um=(table["inner_um"] + table["outer_um"]) / 2)


tables = {dataset: curves(dataset) for dataset in datasets}
scores = {dataset: read_methods(Path(spatial), dataset, methods) for dataset in datasets}
tables[datasets[0]].head()


# %%
def levels(dataset, target):
    """Return the mean score of every method in each band."""
    rows = headline_rows(scores[dataset])
    rows = rows[rows["target"] == target]
    return rows.groupby(["method", "task"])["value"].mean()


def shade(axes):
    """Shade the distances within the image expert's fields of view, the narrower the darker."""
    for key, tone in FIELDS.items():
        axes.axvspan(0, expert[key] / 2, color=tone, lw=0, zorder=0)


def draw_levels(axes, dataset, target, bands):
    mean = levels(dataset, target)
    distances = bands.drop_duplicates("task").set_index("task").sort_values("um")
    for method in LEVELS:
        values = [mean.get((method, task), np.nan) for task in distances.index]
        tone = style.colour(method, focal)
        axes.plot(distances["um"], values, color=tone, marker="o", ms=2, lw=0.9)
    axes.axhline(0, color="black", lw=0.4, ls=":")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.02), max(high, 0.1))  # so that differences of .001 do not fill it


def draw_gains(axes, table):
    axes.axhline(0, color="black", lw=0.6)
    for method in sorted(listed, key=lambda m: (m == focal, style.colour(m, focal) != style.PLAIN)):
        rows = table[table["method"] == method].sort_values("um")
        tone, is_focal = style.colour(method, focal), method == focal
        line = "--" if is_control(method) else "-"
        axes.plot(
            rows["um"], rows["gain"], color=tone, ls=line, lw=1.3 if is_focal else 0.7,
            marker="o", ms=2.5 if is_focal else 1.2, zorder=4 if is_focal else 3,
        )  # fmt: skip
        if is_focal:
            spread = [rows["gain"] - rows["gain_low"], rows["gain_high"] - rows["gain"]]
            axes.errorbar(rows["um"], rows["gain"], spread, color=tone, lw=1, ls="", zorder=4)


def draw_pairs(axes, dataset):
    rows = scores[dataset]
    rows = rows[(rows["task"] == PAIRS) & (rows["metric"] == "roc_auc")]
    donors = rows.groupby(["method", "donor"])["value"].mean()
    axes.set_title("close or far apart", fontsize=7)
    if donors.empty:
        style.write_message(axes, "sections too small for pairs")
        return
    names = [*style.UNIMODAL, *listed]
    for y, method in enumerate(names):
        points, tone = donors[method].to_numpy(), style.colour(method, focal)
        spread = np.linspace(-0.18, 0.18, len(points)) if len(points) > 1 else [0]
        axes.scatter(points, y + np.array(spread), s=4, color=tone, lw=0, alpha=0.6)
        axes.plot([points.mean()] * 2, [y - 0.35, y + 0.35], color=tone, lw=1.6)
    axes.axvline(0.5, color="black", lw=0.6)
    axes.set_yticks(range(len(names)), [style.METHOD_NAMES.get(m, m) for m in names], fontsize=6)
    axes.yaxis.tick_right()
    axes.spines["left"].set_visible(False)
    axes.set(ylim=(len(names) - 0.4, -0.6), xlim=(0.45, 1.01))
    axes.set_xlabel("ROC-AUC, chance 0.5", fontsize=6)
    axes.tick_params(labelsize=6, length=2)


# %%
targets = {d: style.task_order(sorted(set(t["target"]) - {PAIRS})) for d, t in tables.items()}
columns = max([1, *map(len, targets.values())])
fig = plt.figure(figsize=(1.25 * columns + 2.1, 2.6 * len(datasets) + 0.45), layout="constrained")
parts = fig.subfigures(len(datasets), 1, squeeze=False)[:, 0]
for part, dataset in zip(parts, datasets, strict=True):
    table = tables[dataset]
    grid = part.add_gridspec(2, columns + 1, width_ratios=[*[1] * columns, 1.05])
    if not targets[dataset]:
        message = "no task of spatial.targets in this data set: neighbours are not asked about"
        style.write_message(part.add_subplot(grid[:, 0]), message)
    for column, target in enumerate(targets[dataset]):
        rows = table[table["target"] == target]
        above = part.add_subplot(grid[0, column])
        below = part.add_subplot(grid[1, column], sharex=above)
        bands = rows[rows["band"] > 0]
        for axes in (above, below):
            shade(axes)
            axes.tick_params(labelsize=6, length=2)
            axes.set_xlim(-12, bands["outer_um"].max() + 12)
        draw_levels(above, dataset, target, bands)
        draw_gains(below, rows)
        limits = rows.loc[rows["method"] == focal, ["gain_low", "gain_high"]].to_numpy().ravel()
        values = np.concatenate([rows["gain"], limits, [0.0]])
        low, high = np.nanmin(values), np.nanmax(values)
        below.set_ylim(max(low - 0.05, -1), min(high + 0.05, 1))
        edges = [0, *bands.groupby("band")["outer_um"].mean()]
        below.set_xticks(edges, [f"{edge:.0f}" for edge in edges], fontsize=6, rotation=90)
        above.tick_params(labelbottom=False)
        above.set_title(style.task_name(target), fontsize=7)
        is_r2 = rows["metric"].iloc[0] == "r2"
        metric = "R$^2$" if is_r2 else "bits"
        note = ", circular" if target in circular.get(dataset, []) else ""
        above.set_ylabel(metric + note, fontsize=6)
        below.set_ylabel("gain in R$^2$" if is_r2 else "gain / H", fontsize=6)
        below.set_xlabel("distance (µm)", fontsize=6)
    draw_pairs(part.add_subplot(grid[:, columns]), dataset)
    task_table = read_task_table(Path(labels), dataset)
    name = style.title(dataset, task_table.simulated, task_table.role)
    is_transductive = scores[dataset]["probe"].str.endswith(TRANSDUCTIVE).any()
    note = ", features scaled per donor" if is_transductive else ""
    part.suptitle(name + note, x=0.005, ha="left", fontweight="bold", fontsize=8.5)
lines = {
    "image": "image expert", "expression": "expression expert", "concat": "Concat",
    focal: style.METHOD_NAMES.get(focal, focal), "cca": "the paper's other methods",
    "": "beyond the paper", "random": "controls", "random_image": "one expert twice",
}  # fmt: skip
handles = [
    plt.Line2D(
        [], [], color=style.colour(m, focal), ls="--" if is_control(m) else "-", marker="o", ms=2.5,
        lw=1, label=label,
    )
    for m, label in lines.items()
]  # fmt: skip
handles += [
    plt.Rectangle((0, 0), 1, 1, color="#e3d8ee", label="image expert's field of view"),
]
if len(FIELDS) > 1:
    handles.append(plt.Rectangle((0, 0), 1, 1, color="#f3eef8", label="its wider field of view"))
if any(targets.values()):
    fig.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=6.5)
style.save(fig, Path(figure))
