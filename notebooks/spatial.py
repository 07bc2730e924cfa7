# %% [markdown]
# # What a unit's embedding knows of its surroundings
# Columns: what is asked of the neighbours in bands of distance around a unit, at 0 the unit itself.
# Above: score of either expert, of the focal method and of the random projection, mean over test
# donors: macro F1 of the majority label, R2 of the composition. Below: SIS of every method over the
# better expert, with the focal method's 95 % interval over donors; grey methods are controls. There
# are no points where the better expert knows nothing (usable information not above zero): there
# macro F1 compares guesses. In shaded bands the image expert sees the neighbours themselves, in its
# narrower or wider field of view. Right: whether two units lie close together or far apart, one
# point per test donor, the bar is their mean; 0.5 is chance. Linear probes.

# %% tags=["parameters"]
figure = "figures/spatial"
distance = "results/distance"
spatial = "results/spatial"
sis = "results/sis"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cell_synergy.core.config import read_param, read_section
from cell_synergy.figures import style as plotting
from cell_synergy.scoring.tables import ALL_FOLDS, read_methods, read_sis

plotting.style()
methods, focal = list(read_section("models")), read_param("method")
datasets = read_param("datasets")
shown = plotting.order([m for m in methods if m not in plotting.UNIMODAL])
expert = read_section(f"encoders.{read_param('experts')['image']}")
views = [expert[key] / 2 for key in ("context_um", "field_um") if expert.get(key)]
LEVELS = *plotting.UNIMODAL, focal, "random"
PAIRS = "consistency"


def overall(table):
    """Return the rows of linear probes over all folds, in the metric that is shown."""
    kept = table["metric"].isin(["macro_f1", "r2"]) & (table["fold"] == ALL_FOLDS)
    return table[kept & table["probe"].str.startswith("linear")]


def curves(dataset):
    """Return SIS and scores of every target over distance, the unit itself at 0."""
    bands = overall(read_sis(Path(distance), dataset))
    bands = bands.assign(**{c: pd.to_numeric(bands[c]) for c in ("band", "inner_um", "outer_um")})
    found = read_sis(Path(sis), dataset)
    bits = found[(found["metric"] == "bits") & (found["best_score"] > 0)]
    itself = overall(found)
    known = itself["task"].isin(set(bits["task"])) | (itself["metric"] == "r2")
    itself = itself[known & itself["task"].isin(set(bands["target"]))]
    itself = itself.assign(target=itself["task"], band=0, inner_um=0.0, outer_um=0.0)
    table = pd.concat([itself, bands])
    return table.assign(um=(table["inner_um"] + table["outer_um"]) / 2)


tables = {dataset: curves(dataset) for dataset in datasets}
scores = {dataset: read_methods(Path(spatial), dataset, methods) for dataset in datasets}
tables[datasets[0]].head()


# %%
def levels(dataset, target):
    """Return the mean score of the methods shown above, by band."""
    own = scores[dataset]
    own = own[(own["target"] == target) & own["metric"].isin(["macro_f1", "r2"])]
    own = own[own["probe"].str.startswith("linear")]
    return own.groupby(["method", "task"])["value"].mean()


def shade(axes):
    for width, tone in zip(views, ("#f3eef8", "#e3d8ee"), strict=False):
        axes.axvspan(0, width, color=tone, lw=0, zorder=0)


def draw_levels(axes, dataset, target, bands):
    mean = levels(dataset, target)
    places = bands.drop_duplicates("task").set_index("task").sort_values("um")
    for method in LEVELS:
        values = [mean.get((method, task), np.nan) for task in places.index]
        tone = plotting.colour(method, focal)
        axes.plot(places["um"], values, color=tone, marker="o", ms=2.5, lw=1)
    axes.axhline(0, color="black", lw=0.4, ls=":")


def draw_sis(axes, own):
    axes.axhline(0, color="black", lw=0.6)
    for method in [*[m for m in shown if m != focal], *[m for m in shown if m == focal]]:
        rows = own[own["method"] == method].sort_values("um")
        tone, first = plotting.colour(method, focal), method == focal
        style = "--" if method in plotting.CONTROLS else "-"
        axes.plot(
            rows["um"], rows["sis"], color=tone, ls=style, lw=1.5 if first else 0.7,
            alpha=1 if first else 0.7, marker="o", ms=3 if first else 1.5, zorder=4 if first else 3,
        )  # fmt: skip
        if first:
            spread = [rows["sis"] - rows["low"], rows["high"] - rows["sis"]]
            axes.errorbar(rows["um"], rows["sis"], spread, color=tone, lw=1, ls="", zorder=4)
    if own["sis"].isna().all():
        axes.text(0.5, 0.7, "no expert knows", transform=axes.transAxes, ha="center", fontsize=6)


def draw_pairs(axes, dataset):
    own = scores[dataset]
    own = own[(own["task"] == PAIRS) & (own["metric"] == "roc_auc")]
    donors = own.groupby(["method", "donor"])["value"].mean()
    axes.set_title("close or far apart")
    if donors.empty:
        plotting.tell(axes, "sections too small for pairs")
        return
    names = [*plotting.UNIMODAL, *shown]
    for place, method in enumerate(names):
        points, tone = donors[method].to_numpy(), plotting.colour(method, focal)
        spread = np.linspace(-0.18, 0.18, len(points)) if len(points) > 1 else [0]
        axes.scatter(points, place + np.array(spread), s=4, color=tone, lw=0, alpha=0.6)
        axes.plot([points.mean()] * 2, [place - 0.35, place + 0.35], color=tone, lw=1.6)
    axes.axvline(0.5, color="black", lw=0.6)
    axes.set_yticks(range(len(names)), [plotting.NAMES.get(m, m) for m in names], fontsize=6)
    axes.yaxis.tick_right()
    axes.spines["left"].set_visible(False)
    axes.set(ylim=(len(names) - 0.4, -0.6), xlim=(0.45, 1.01))
    axes.set_xlabel("ROC-AUC, chance 0.5", fontsize=6)
    axes.tick_params(labelsize=6, length=2)


# %%
asked = {d: sorted(set(t["target"]) - {PAIRS}) for d, t in tables.items()}
columns = max([1, *map(len, asked.values())])
fig = plt.figure(figsize=(1.62 * columns + 2.9, 2.75 * len(datasets) + 0.45), layout="constrained")
parts = fig.subfigures(len(datasets), 1, squeeze=False)[:, 0]
for part, dataset in zip(parts, datasets, strict=True):
    table, spec = tables[dataset], read_section(f"data.{dataset}")
    grid = part.add_gridspec(2, columns + 1, width_ratios=[*[1] * columns, 1.05])
    if not asked[dataset]:
        words = "no task of spatial.targets in this data set: neighbours are not asked about"
        plotting.tell(part.add_subplot(grid[:, 0]), words)
    for column, target in enumerate(asked[dataset]):
        own = table[table["target"] == target]
        above = part.add_subplot(grid[0, column])
        below = part.add_subplot(grid[1, column], sharex=above)
        bands = own[own["band"] > 0]
        for axes in (above, below):
            shade(axes)
            axes.tick_params(labelsize=6, length=2)
            axes.set_xlim(-12, bands["outer_um"].max() + 12)
        draw_levels(above, dataset, target, bands)
        draw_sis(below, own)
        seen = own.loc[own["method"] == focal, ["low", "high"]].to_numpy().ravel()
        seen = np.concatenate([own["sis"], seen, [0.0]])
        low, high = np.nanmin(seen), np.nanmax(seen)
        below.set_ylim(max(low - 0.05, -1), min(high + 0.05, 1))
        edges = [0, *bands.groupby("band")["outer_um"].mean()]
        below.set_xticks(edges, [f"{edge:.0f}" for edge in edges], fontsize=5.5)
        above.tick_params(labelbottom=False)
        above.set_title(target.replace("_", " "))
        metric = "R$^2$" if own["metric"].iloc[0] == "r2" else "macro F1"
        mark = ", circular" if spec["tasks"][target].get("circular", False) else ""
        above.set_ylabel(metric + mark, fontsize=6)
        below.set_ylabel("SIS" if column == 0 else "", fontsize=6)
        below.set_xlabel("distance of neighbours (µm)", fontsize=6)
    draw_pairs(part.add_subplot(grid[:, columns]), dataset)
    name = plotting.title(dataset, spec["source"] == "simulator")
    mark = ", features scaled per donor" if spec["standardise"] == "donor" else ""
    part.suptitle(name + mark, x=0.005, ha="left", fontweight="bold", fontsize=10)
handles = [
    plt.Line2D([], [], color=plotting.colour(m, focal), marker="o", ms=3, label=label)
    for m, label in (
        ("image", "image expert"), ("expression", "expression expert"),
        (focal, plotting.NAMES.get(focal, focal)), ("", "other methods"),
    )
]  # fmt: skip
handles += [
    plt.Line2D([], [], color=plotting.CONTROL, ls="--", label="controls (null)"),
    plt.Rectangle((0, 0), 1, 1, color="#e3d8ee", label="image expert's field of view"),
]
if len(views) > 1:
    handles.append(plt.Rectangle((0, 0), 1, 1, color="#f3eef8", label="its wider field of view"))
if any(asked.values()):
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=6.5)
plotting.save(fig, Path(figure))
