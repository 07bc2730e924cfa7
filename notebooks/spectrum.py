# %% [markdown]
# # The spectral ceiling
# Canonical correlations of the two embeddings, within donors, in the leading principal axes of
# each. Left: sample correlations of all training pairs, those of shuffled pairs, the edge of noise
# (their maximum), the corrected correlations above it, and the correlations of the same directions
# on test donors (95 % interval). Middle: the ceiling (sum of squared correlations) by number of
# pairs; in the shaded range it is not estimable, whatever the sample shows. Right: shares of the
# shared and of the unique content of both embeddings that a linear probe predicts from the joint
# embedding of each method on test donors; of controls, some. Table: scores of linear probes (bits,
# or R2 of a composition) minus that of the canonical variates above the edge; + is above it
# (p < 0.05, corrected for the methods compared; experts and controls: interval above 0), - below
# it (95 % interval).

# %% tags=["parameters"]
figure = "figures/spectrum"
spectrum = "results/spectrum"
labels = "data/labels"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import NullFormatter

from cell_synergy.core.config import read_param, read_section
from cell_synergy.data.label_files import read_task_table
from cell_synergy.figures import style
from cell_synergy.scoring.tables import is_verdict

style.set_style()
datasets, focal = read_param("datasets"), read_param("method")
tables = {d: pd.read_csv(Path(spectrum, f"{d}.csv"), dtype={"seed": str}) for d in datasets}
SAMPLE, HELD_OUT, NOISE = "#2f6690", "#c1272d", "#8a8a8a"
task_tables = {d: read_task_table(Path(labels), d) for d in datasets}
everything = [*style.UNIMODAL, *style.order(list(read_section("models")))]
selected = [*style.UNIMODAL, *style.selection(list(read_section("models")), focal)]


# %%
def select(table, quantity, **where):
    """Return the rows of a quantity that have the given values in other columns."""
    rows = table[table["quantity"] == quantity]
    for column, expected in where.items():
        rows = rows[rows[column] == expected]
    return rows


def draw_intervals(axes, x, rows, tone, **look):
    """Draw values with their intervals."""
    axes.errorbar(
        x, rows["value"], [rows["value"] - rows["low"], rows["high"] - rows["value"]], color=tone,
        lw=0.8, **look,
    )  # fmt: skip


def draw_correlations(axes, table):
    """Draw the correlations of all training pairs by rank."""
    where = {"space": "axes", "fraction": table["fraction"].max(), "pairs": "own"}
    top = max(
        select(table, name, **where)["value"].iloc[0] for name in ("edge", "largest_shuffled")
    )
    sample = select(table, "correlation", **where)
    noise = select(table, "shuffled", **where)
    axes.axhspan(0, top, color="#eeeeee", lw=0)
    axes.plot(sample["rank"], sample["value"], "o-", ms=3, lw=0.8, color=SAMPLE, label="sample")
    corrected = select(table, "corrected", **where)
    corrected = corrected[corrected["value"] > 0]
    axes.plot(corrected["rank"], corrected["value"], "D", ms=3.5, mfc="none", mew=0.9, color=SAMPLE,
              label="corrected")  # fmt: skip
    held_out = select(table, "held_out", **where)
    draw_intervals(axes, noise["rank"], held_out, HELD_OUT, fmt="s", ms=3, label="test donors")
    axes.plot(noise["rank"], noise["value"], "--", lw=0.9, color=NOISE, label="shuffled pairs")
    axes.axhline(0, color="black", lw=0.6)
    axes.set(ylim=(-0.15, 1), xlabel="rank", ylabel="canonical correlation")
    axes.set_xticks(range(1, int(sample["rank"].max()) + 1, 5))
    axes.legend(fontsize=6, loc="upper right", labelspacing=0.2, borderaxespad=0)
    axes.text(
        sample["rank"].max(), top + 0.01, "edge of noise", fontsize=6, ha="right", va="bottom",
        color="#5a5a5a",
    )  # fmt: skip


def draw_ceilings(axes, table):
    """Draw the ceiling by number of pairs."""
    where = {"space": "axes"}
    pairs = select(table, "freedom", pairs="own", **where)
    inestimable = pairs.loc[
        select(table, "largest_shuffled", pairs="own", **where)["value"].isna().to_numpy(), "value"
    ]
    estimable = pairs.loc[~pairs.index.isin(inestimable.index), "value"]
    if len(inestimable):
        border = 2 * inestimable.max()
        if len(estimable):
            border = np.sqrt(inestimable.max() * estimable.min())
        axes.axvspan(0.7 * inestimable.min(), border, color="#eeeeee", lw=0)
        axes.text(
            np.sqrt(0.7 * inestimable.min() * border), 0.28, "not estimable", fontsize=6.5,
            ha="center", va="center", color="#5a5a5a", transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    looks = {"own": (SAMPLE, "o"), "shuffled": (NOISE, "^")}
    for name, (tone, marker) in looks.items():
        sample, corrected = (
            select(table, q, pairs=name, **where) for q in ("ceiling", "ceiling_corrected")
        )
        axes.plot(pairs["value"], sample["value"], f"{marker}:", ms=3, lw=0.9, color=tone,
                  label=f"{name} pairs, sample")  # fmt: skip
        axes.plot(pairs["value"], corrected["value"], f"{marker}-", ms=3.5, lw=1.1, color=tone,
                  label=f"{name} pairs, corrected")  # fmt: skip
    held_out = select(table, "ceiling_held_out", pairs="own", **where)
    draw_intervals(
        axes, pairs["value"], held_out, HELD_OUT, fmt="s-", ms=3, label="own pairs, test donors"
    )
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yscale("symlog", linthresh=1, linscale=0.7)
    axes.set(ylim=(-0.3, 3000), xlim=(0.7 * pairs["value"].min(), 1.4 * pairs["value"].max()))
    axes.set(yticks=[0, 1, 10, 100], yticklabels=["0", "1", "10", "100"])
    axes.set(xlabel="pairs less donors", ylabel="ceiling: sum of squared correlations")
    axes.legend(fontsize=6, loc="upper right", labelspacing=0.2, borderaxespad=0)


def draw_retention(axes, table, methods):
    """Draw the shares that every method retains."""
    if select(table, "unique_image").empty:
        style.write_message(axes, "too few training pairs to say what both modalities show")
        return
    looks = {
        "shared": ("both", "o", SAMPLE),
        "unique_image": ("image alone", "<", style.IMAGE),
        "unique_expression": ("expression alone", ">", style.EXPRESSION),
    }
    for quantity, (label, marker, tone) in looks.items():
        rows = select(table, quantity, seed="all").set_index("method").reindex(methods)
        offset = {"shared": -0.2, "unique_image": 0}.get(quantity, 0.2)
        y = np.arange(len(methods)) + offset
        axes.hlines(y, rows["low"], rows["high"], color=tone, lw=0.8)
        axes.plot(rows["value"], y, marker, ms=3.5, color=tone, label=label)
    axes.axvline(0, color="black", lw=0.6)
    axes.axvline(1, color="black", lw=0.6, ls=":")
    axes.set_yticks(range(len(methods)), [style.METHOD_NAMES.get(m, m) for m in methods])
    axes.set(ylim=(len(methods) - 0.5, -0.5), xlim=(-0.08, 1.08))
    axes.set_xlabel("share kept of what is shown by ...", fontsize=7)
    axes.tick_params(labelsize=6, length=2)
    axes.legend(fontsize=6, loc="lower right", bbox_to_anchor=(1, 1), ncols=3,
                handletextpad=0, columnspacing=0.5, borderaxespad=0)  # fmt: skip


def comparison(dataset):
    """Return the scores of each method minus those of the ceiling."""
    over = select(tables[dataset], "over_ceiling")
    over = over[is_verdict(over)]
    mark = over["verdict"].map({"above": " +", "below": " -"}).fillna("")
    over = over.assign(score=over["value"].map("{:.2f}".format) + mark)
    wide = over.pivot_table("score", "method", ["dataset", "task"], aggfunc="first")
    return wide.reindex(index=everything)


pd.concat([comparison(dataset) for dataset in datasets], axis=1)

# %%
fig, grid = plt.subplots(
    len(datasets), 3, figsize=(7.1, 2.75 * len(datasets) + 0.2), squeeze=False,
    layout="constrained", width_ratios=(1, 1, 1.25),
)  # fmt: skip
for row, dataset in zip(grid, datasets, strict=True):
    task_table = task_tables[dataset]
    draw_correlations(row[0], tables[dataset])
    draw_ceilings(row[1], tables[dataset])
    draw_retention(row[2], tables[dataset], selected)
    name = style.title(dataset, task_table.simulated, task_table.role)
    row[0].set_title(name, fontsize=8, pad=10)
    for axes in row[:2]:
        axes.tick_params(labelsize=6.5, length=2)
        axes.xaxis.label.set_size(7)
        axes.yaxis.label.set_size(7)
style.save(fig, Path(figure))
