# %% [markdown]
# # Trifeature: redundancy, uniqueness, synergy
# Accuracy of linear probes of each method's joint embedding of pairs with the same shape. They
# predict the shape (redundant), the texture of one modality (unique), and whether the texture of
# one modality matches the colour of the other (synergy). Numbers: the linear probe. Embeddings are
# simulated; see `cell_synergy.studies.trifeature`.

# %% tags=["parameters"]
figure = "figures/trifeature"
scores = "results/trifeature"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from cell_synergy.core.config import read_param
from cell_synergy.figures import style

style.set_style()
# Balanced accuracy, per cent: redundancy, unique (both sides), synergy.
# Dufumier et al. 2025 (ICLR), bimodal Trifeature on images; "Cross" is SimCLR across modalities.
images = {"simclr": (100.0, 11.6, 50.0), "comm": (99.9, 87.8, 71.9)}
tasks = {
    "redundancy": ("redundancy", "shape of both", 0),
    "unique_image": ("unique to image", "texture of image", 1),
    "unique_expression": ("unique to expression", "texture of expression", 1),
    "synergy": ("synergy", "do texture and colour match?", 2),
}
names = ["method", "task", "probe", "value", "classes"]
parts = [pd.read_csv(path) for path in sorted(Path(scores).glob("*.csv"))]
table = pd.concat(parts) if parts else pd.DataFrame(columns=names)
methods = style.order(list(table["method"].unique()))
table

# %%
fig, panels = plt.subplots(
    1,
    len(tasks),
    figsize=(7.1, 0.23 * max(len(methods), 1) + 1.05),
    sharey=True,
    layout="constrained",
)
for axes, (task, (title, label, index)) in zip(panels, tasks.items(), strict=True):
    rows = table[table["task"] == task]
    if rows.empty:
        style.write_message(axes, "no method in this study's Trifeature")
        continue
    chance = 100 / rows["classes"].iloc[0]
    axes.axvline(chance, color="black", lw=0.8, ls=(0, (4, 2)), zorder=1)
    axes.text(chance, -0.62, f"chance {chance:.0f}", fontsize=6, ha="center", va="bottom")
    for y, method in enumerate(methods):
        tone = style.colour(method, read_param("method"))
        values = rows[rows["method"] == method].set_index("probe")["value"] * 100
        points = values.loc[["linear"]]
        axes.scatter(
            values.loc[["mlp"]], [y], s=18, marker="x", color=tone, lw=1, zorder=5, clip_on=False
        )
        axes.plot([chance, points.mean()], [y, y], color=tone, lw=3, alpha=0.35, zorder=2)
        axes.scatter(points, [y] * len(points), s=20, color=tone, lw=0, zorder=3, clip_on=False)
        axes.text(
            1.06, y, f"{points.mean():.1f}", transform=axes.get_yaxis_transform(), va="center",
            fontsize=6, color="#333333",
        )  # fmt: skip
        if method in images:
            axes.scatter(
                images[method][index], y, s=20, marker="D", facecolor="none", edgecolor="black",
                lw=0.8, zorder=4, clip_on=False,
            )  # fmt: skip
    axes.set(xlim=(0, 100), ylim=(len(methods) - 0.5, -0.6), xticks=range(0, 101, 25))
    axes.set_yticks(range(len(methods)), [style.METHOD_NAMES.get(m, m) for m in methods])
    axes.set_title(title, fontsize=7.5, pad=11)
    axes.set_xlabel(f"{label}\nbalanced accuracy, %", fontsize=6.5)
    axes.tick_params(labelsize=6.5, length=2)
handles = [
    plt.Line2D([], [], marker="o", ls="", ms=5, color="#545454"),
    plt.Line2D([], [], marker="x", ls="", ms=5, color="#545454"),
    plt.Line2D([], [], marker="D", ls="", ms=4.5, mfc="none", mec="black", mew=0.8),
]
labels = [
    "drawn embeddings, linear probe",
    "drawn embeddings, MLP",
    "published: images (Dufumier et al. 2025)",
]
fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=6.5)
style.save(fig, Path(figure))
