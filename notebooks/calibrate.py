# %% [markdown]
# # Calibration: true and estimated decompositions of gates and of Gaussian targets
# Embeddings of simulated donors encode sources whose redundant, unique and synergistic information
# about a label is known exactly. Left: estimate against truth. Middle: mean error of each part and
# its standard deviation, by design (test donors x observations per donor). Right: coverage of the
# 95 % intervals (gates only; there are no intervals for Gaussian targets), of parts above 0 and of
# true zeros apart, with the binomial 95 % interval of this number of intervals. Limits end at 0 and
# have an allowance for the probes' error: more than 95 % of zeros are covered. The table has the
# numbers; `benchmarks/coverage.csv` has those of 400 intervals per design on other seeds.

# %% tags=["parameters"]
figure = "figures/calibrate"
calibration = "results/calibrate.csv"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import beta

from cell_synergy.figures import style
from cell_synergy.studies.coverage import coverage

style.set_style()
parts = {
    "R": ("redundant", "#8a8a8a"),
    "U_image": ("unique to image", style.IMAGE),
    "U_expression": ("unique to expression", style.EXPRESSION),
    "S": ("synergy", style.FOCUS),
}
table = pd.read_csv(calibration)
table["error"] = table["estimate"] - table["truth"]
summary = coverage(table)
summary.round(3)

# %%
fig, (left, middle, right) = plt.subplots(1, 3, figsize=(7.5, 3.0), layout="constrained")
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
    for x, (donors, n_obs) in enumerate(zip(summary["donors"], summary["units"], strict=True)):
        error = rows.loc[(rows["donors"] == donors) & (rows["units"] == n_obs), "error"]
        middle.errorbar(
            x + 12 * offset, error.mean(), error.std(), color=tone, marker="o", ms=4, lw=1
        )
left.scatter([], [], s=14, marker="^", color="black", lw=0, label="Gaussian target")
left.legend(fontsize=6.5, loc="upper left", handletextpad=0.1, borderaxespad=0)
left.set(xlabel="truth, bits", ylabel="estimate, bits", title="Cases and data sets")
middle.axhline(0, color="black", lw=0.6)
middle.set(ylabel="estimate - truth, bits", title="Mean error, and deviation")

x = np.arange(len(summary))
kinds = {
    "above_zero": ("parts above 0", -0.12, {"color": "black"}),
    "zeros": ("true zeros", 0.12, {"color": "black", "mfc": "white"}),
}
for kind, (name, offset, look) in kinds.items():
    count, share = summary[kind], summary[f"coverage_{kind}"]
    hits = count * share
    low, high = beta.ppf(0.025, hits, count - hits + 1), beta.ppf(0.975, hits + 1, count - hits)
    limits = np.where(hits > 0, low, 0), np.where(hits < count, high, 1)
    ends = 100 * np.stack([share - limits[0], limits[1] - share])
    right.errorbar(
        x + offset, 100 * share, ends, fmt="o", ms=4.5, lw=0.8, zorder=3,
        label=f"{name} ({count.max()} each)", **look,
    )  # fmt: skip
right.axhline(95, color="black", lw=0.6, ls="--")
right.legend(fontsize=6.5, loc="lower left")
right.set(ylim=(50, 102), ylabel="intervals that hold the truth, %", title="Coverage")
for axes in (middle, right):
    designs = [f"{donors}x{n_obs}" for donors, n_obs in summary[["donors", "units"]].to_numpy()]
    axes.set_xticks(x, designs, fontsize=6.5)
    axes.set_xlabel("test donors x observations per donor", fontsize=7)
style.save(fig, Path(figure))
