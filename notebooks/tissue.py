# %% [markdown]
# # Predictions of each representation on the tissue
# One test section per data set: the H&E image, the true regions (or the first label), and the
# predictions of linear probes of the two experts, of their concatenation and of the focal method,
# with macro F1 on that section. For a data set without labels: the image and the coordinates of its
# observations.

# %% tags=["parameters"]
figure = "figures/tissue"
scores = "results/probe"
pairs = "data/pairs"
labels = "data/labels"
raw = "data/raw"

# %%
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from sklearn.metrics import f1_score

from cell_synergy.core.config import read_param
from cell_synergy.data.label_files import read_task_table
from cell_synergy.data.paired import read
from cell_synergy.downstream.method_scores import read_posteriors
from cell_synergy.figures import style
from cell_synergy.raw.images import open_slide

style.set_style()
focal, datasets = read_param("method"), read_param("datasets")
columns = list(dict.fromkeys(("image", "expression", "concat", focal)))


# %%
def predictions(dataset, method, task, fold):
    """Return the predicted class of every test observation of a fold."""
    posteriors = read_posteriors(Path(scores, dataset, f"{method}.safetensors"))
    return posteriors[f"{task}/{fold}"].argmax(axis=1)


def test_masks(dataset, obs):
    """Return the mask of test observations of each fold that has scores, the last fold first.

    The fold `holdout` tests the donors of role `test`. Every other fold has the name of what it
    leaves out: a block, a section or a donor.
    """
    table = pd.read_csv(Path(scores, dataset, f"{focal}.csv"), dtype=str, keep_default_na=False)
    names = sorted(set(table["fold"]), reverse=True)
    if not names:
        return {"": np.ones(len(obs), dtype=bool)}
    if names == ["holdout"]:
        counts = pd.read_csv(Path(pairs, f"{dataset}.csv"), dtype=str, keep_default_na=False)
        roles = counts.set_index("section")["role"]
        return {"holdout": (obs["section"].astype(str).map(roles) == "test").to_numpy()}
    groups = [obs[column].astype(str) for column in ("block", "donor", "section") if column in obs]
    group = min((g for g in groups if {*names} <= {*g}), key=lambda g: g.nunique())
    return {name: (group == name).to_numpy() for name in names}


def choose_section(dataset):
    """Return pairs, task, fold, mask of test observations, and the section with most test labels.

    The fold is the last one with labels. If no classification has labels on test observations, the
    task is None.
    """
    adata = read(Path(pairs, f"{dataset}.h5ad"), Path(labels, f"{dataset}.h5ad"))
    kinds = read_task_table(Path(labels), dataset).tasks["kind"]
    names = kinds.index[kinds == "classification"]
    order = sorted(names, key=lambda name: name != "region")  # regions first, then as configured
    masks = test_masks(dataset, adata.obs)
    for task, (fold, test) in product(order, masks.items()):
        labelled = test & (adata.obs[task].cat.codes >= 0).to_numpy()
        if labelled.any():
            section = adata.obs["section"][labelled].value_counts(sort=True).index[0]
            return adata, task, fold, test, section
    test = next(iter(masks.values()))
    section = adata.obs["section"][test].value_counts(sort=True).index[0]
    return adata, None, "", test, section


def pitch(xy):
    """Return the median distance from an observation to its nearest neighbour."""
    return np.median(cKDTree(xy).query(xy, k=2)[0][:, 1])


def bounding_box(adata, section):
    """Return coordinates and bounding box of a section's observations, in micrometres.

    The margin is the distance between neighbours, rounded up to 10 um.
    """
    xy = adata.obsm["spatial"][(adata.obs["section"] == section).to_numpy()]
    margin = 10 * np.ceil(pitch(xy) / 10)
    return xy, xy.min(axis=0) - margin, xy.max(axis=0) + margin


def set_frame(panels, section, low, high, dataset):
    """Set the limits of all panels; add the section's name and a scale bar to the first."""
    for axes in panels:
        axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), aspect="equal")
        style.remove_frame(axes)
    bar = min(500.0, 10 ** np.floor(np.log10((high - low)[0] / 2)))
    panels[0].plot([low[0] + 80, low[0] + 80 + bar], [high[1] - 80] * 2, color="black", lw=2)
    panels[0].annotate(
        f"{bar:g} µm", (low[0] + 80, high[1] - 80), (0, 1.5), textcoords="offset points",
        fontsize=6,
    )  # fmt: skip
    table = read_task_table(Path(labels), dataset)
    panels[0].set_title(" ", fontsize=8, pad=13)  # keeps room for the name, wider than its panel
    panels[0].annotate(
        style.title(dataset, table.simulated, table.role), (0, 1), (0, 13), fontsize=8,
        xycoords="axes fraction", textcoords="offset points", fontweight="bold",
    ).set_in_layout(False)  # fmt: skip
    panels[0].annotate(
        f"section {section}", (0, 1), (0, 3), xycoords="axes fraction", fontsize=6.5,
        textcoords="offset points",
    )  # fmt: skip


# %%
WIDTH, ABOVE, LEGEND = 1.02, 0.46, 0.95  # inches: of one panel, its titles, the legend
choices = {dataset: choose_section(dataset) for dataset in datasets}
ratios = []
for adata, _, _, _, section in choices.values():
    _, low, high = bounding_box(adata, section)
    ratios.append((high - low)[1] / (high - low)[0])
fig, grid = plt.subplots(
    len(datasets), len(columns) + 2, squeeze=False, layout="constrained",
    figsize=((len(columns) + 2) * WIDTH + LEGEND, sum(WIDTH * r + ABOVE for r in ratios)),
    height_ratios=[r + ABOVE / WIDTH for r in ratios],
)  # fmt: skip
for row, dataset in zip(grid, datasets, strict=True):
    adata, task, fold, test, section = choices[dataset]
    mask = (adata.obs["section"] == section).to_numpy()
    xy, low, high = bounding_box(adata, section)
    mpp = float(adata.uns["mpp"][section])
    with open_slide(Path(raw, dataset, adata.uns["images"][section])) as slide:
        extent = (0, slide.size[0] * mpp, slide.size[1] * mpp, 0)
        image = slide.overview(max(1, round(max(slide.size) / 900)))
    row[0].imshow(image, extent=extent, interpolation="antialiased")
    if task is None:
        size = (72 * WIDTH * pitch(xy) * 0.85 / (high - low)[0]) ** 2
        row[1].scatter(*xy.T, s=size / 4, c="#8a8a8a", lw=0)
        row[1].set_title("observations", fontsize=6.5, fontweight="normal", pad=3)
        style.write_message(row[2], "no classification task in this data set")
        for axes in row[3:]:
            axes.set_visible(False)
        set_frame(row[:2], section, low, high, dataset)
        continue
    classes = list(adata.obs[task].cat.categories)
    truth = adata.obs[task].cat.codes.to_numpy()[mask]
    tones = np.array([style.PALETTE[i % len(style.PALETTE)] for i in range(len(classes))])
    rows = np.flatnonzero(mask[test])
    maps = [("label", truth)]
    maps += [(m, predictions(dataset, m, task, fold)[rows]) for m in columns]
    for axes, (name, codes) in zip(row[1:], maps, strict=True):
        labelled = codes >= 0
        size = (72 * WIDTH * pitch(xy) * 0.85 / (high - low)[0]) ** 2
        axes.scatter(*xy[labelled].T, s=size, c=tones[codes[labelled]], lw=0, marker="o")
        axes.scatter(*xy[~labelled].T, s=size / 10, c="#bbbbbb", lw=0)
        scored = truth >= 0
        f1 = f1_score(
            truth[scored], codes[scored], labels=np.unique(truth[scored]), average="macro",
            zero_division=0,
        )  # fmt: skip
        heading = style.METHOD_NAMES.get(name, name)
        heading = f"true {style.task_name(task)}" if name == "label" else f"{heading}, F1 {f1:.2f}"
        axes.set_title(heading, fontsize=6.5, fontweight="normal", pad=3)
    set_frame(row, section, low, high, dataset)
    present = [i for i in range(len(classes)) if i in set(truth)]
    handles = [plt.Line2D([], [], marker="o", ls="", ms=3, color=tones[i]) for i in present]
    names = [str(classes[i]).replace("_", " ")[:24] for i in present]
    row[-1].legend(
        handles, names, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=6,
        ncols=1 + (len(names) > 8), handletextpad=0, columnspacing=0.3, labelspacing=0.25,
    )  # fmt: skip
style.save(fig, Path(figure))
pd.Series(datasets)
