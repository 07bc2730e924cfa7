# %% [markdown]
# # Calibration: true and estimated decompositions of gates and of Gaussian targets
# Embeddings of simulated donors encode sources whose redundant, unique and synergistic information
# about a label is known exactly. Left: estimate against truth. Middle: mean error of each part, by
# test donors and observations per donor. Right: coverage of the 95 % intervals (gates only; there
# are no intervals for Gaussian targets).

# %% tags=["parameters"]
figure = "figures/calibrate"
calibration = "results/calibrate.csv"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cell_synergy.figures import style

style.set_style()
parts = {
    "R": ("redundant", "#8a8a8a"),
    "U_image": ("unique to image", style.IMAGE),
    "U_expression": ("unique to expression", style.EXPRESSION),
    "S": ("synergy", style.FOCUS),
}
table = pd.read_csv(calibration)
table["error"] = table["estimate"] - table["truth"]
designs = table[["donors", "units"]].drop_duplicates().sort_values(["donors", "units"])
designs = [tuple(design) for design in designs.to_numpy()]
table["inside"] = (table["low"] <= table["truth"] + 1e-6) & (table["truth"] - 1e-6 <= table["high"])
table["inside"] = table["inside"].where(table["low"].notna())  # Gaussian targets have no interval
table.groupby(["donors", "units"]).agg(
    mean_error=("error", "mean"),
    mean_absolute_error=("error", lambda error: error.abs().mean()),
    largest_absolute_error=("error", lambda error: error.abs().max()),
    intervals_that_hold_the_truth=("inside", "mean"),
).astype(float).round(3)

# %%
fig, (left, middle, right) = plt.subplots(1, 3, figsize=(9.5, 3.2), layout="constrained")
left.axline((0, 0), slope=1, color="black", lw=0.6)
spread = np.linspace(-0.012, 0.012, len(parts))
for (part, (name, tone)), offset in zip(parts.items(), spread, strict=True):
    rows = table[table["quantity"] == part]
    is_gaussian = rows["case"].str.startswith("gaussian")
    for cases, marker in ((rows[~is_gaussian], "o"), (rows[is_gaussian], "^")):
        left.scatter(
            cases["truth"] + offset, cases["estimate"], s=9, color=tone, marker=marker, lw=0,
            alpha=0.6, label=name if marker == "o" else None,
        )  # fmt: skip
    for x, (donors, n_obs) in enumerate(designs):
        error = rows.loc[(rows["donors"] == donors) & (rows["units"] == n_obs), "error"]
        middle.errorbar(
            x + 12 * offset, error.mean(), error.std(), color=tone, marker="o", ms=4, lw=1
        )
left.scatter([], [], s=14, marker="^", color="black", lw=0, label="Gaussian target")
left.legend(fontsize=6, loc="upper left")
left.set(xlabel="truth, bits", ylabel="estimate, bits", title="Every case and data set")
middle.axhline(0, color="black", lw=0.6)
middle.set(ylabel="estimate - truth, bits", title="Mean error, and its deviation")

for x, (donors, n_obs) in enumerate(designs):
    rows = table[(table["donors"] == donors) & (table["units"] == n_obs)]
    for part, offset in zip(parts, spread, strict=True):
        share = rows.loc[rows["quantity"] == part, "inside"].mean()
        right.scatter(x + 12 * offset, 100 * share, color=parts[part][1], s=18, lw=0, zorder=3)
right.axhline(95, color="black", lw=0.6, ls="--")
right.set(ylim=(0, 104), ylabel="intervals that hold the truth, %", title="Coverage")
for axes in (middle, right):
    names = [f"{donors} donors\n{n_obs} units" for donors, n_obs in designs]
    axes.set_xticks(range(len(designs)), names, fontsize=6)
fig.suptitle("Simulated embeddings of gates and Gaussians", fontsize=9, fontweight="bold")
style.save(fig, Path(figure))
