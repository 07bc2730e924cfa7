# %% [markdown]
# # The spectral ceiling
# Canonical correlations of the two embeddings, within donors, in the leading principal axes of
# each. First: sample correlations of all training pairs, those of shuffled pairs, the edge of noise
# (their maximum), the corrected correlations above it, and the correlations of the same directions
# on test donors (95 % interval). Second: the ceiling (sum of squared correlations) by number of
# pairs; in the shaded range it is not estimable, whatever the sample shows. Third: shares of the
# shared and of the unique content of both embeddings that a linear probe predicts from each
# method's joint embedding on test donors. Fourth: scores of linear probes of the methods (bits, or
# R2 of a composition) minus that of the canonical variates above the edge.

# %% tags=["parameters"]
figure = "figures/spectrum"
spectrum = "results/spectrum"
labels = "data/labels"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm

from cell_synergy.core.config import read_param, read_section
from cell_synergy.core.names import is_control
from cell_synergy.data.label_files import read_task_table
from cell_synergy.figures import style
from cell_synergy.scoring.tables import is_verdict

style.set_style()
datasets, focal = read_param("datasets"), read_param("method")
tables = {d: pd.read_csv(Path(spectrum, f"{d}.csv"), dtype={"seed": str}) for d in datasets}
SAMPLE, HELD_OUT, NOISE = "#2f6690", "#c1272d", "#8a8a8a"
tables[datasets[0]].groupby("quantity")["value"].describe()


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
    axes.legend(fontsize=6, loc="upper right")
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
            np.sqrt(0.7 * inestimable.min() * border), 0.5, "not estimable", fontsize=6.5,
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
    axes.set_yscale("symlog", linthresh=1, linscale=0.7)
    axes.set(ylim=(-0.3, 400), xlim=(0.7 * pairs["value"].min(), 1.4 * pairs["value"].max()))
    axes.set(yticks=[0, 1, 10, 100], yticklabels=["0", "1", "10", "100"])
    axes.set(xlabel="pairs less donors", ylabel="ceiling: sum of squared correlations")
    axes.legend(fontsize=5.5, loc="upper right")


def draw_retention(axes, table, methods):
    """Draw the shares that every method retains."""
    if select(table, "unique_image").empty:
        style.write_message(axes, "too few training pairs to say what both modalities show")
        return
    looks = {
        "shared": ("both show", "o", SAMPLE),
        "unique_image": ("the image alone shows", "<", style.IMAGE),
        "unique_expression": ("expression alone shows", ">", style.EXPRESSION),
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
    axes.set_xlabel("share kept of what ...")
    axes.tick_params(labelsize=6.5, length=2)
    axes.legend(fontsize=5.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3,
                handletextpad=0.1, columnspacing=0.8)  # fmt: skip


def draw_comparison(axes, table, methods, tasks):
    """Draw the scores of each method minus those of the ceiling."""
    if select(table, "over_ceiling").empty:
        reason = "no task in this data set"
        if select(table, "unique_image").empty:
            reason = "too few training pairs for a ceiling"
        style.write_message(axes, reason)
        return
    over = select(table, "over_ceiling")
    over = over[is_verdict(over)]
    ceiling = select(table, "score", method="ceiling")
    ceiling = ceiling[is_verdict(ceiling)].set_index("task")
    tasks = [task for task in tasks if task in ceiling.index]
    gain, verdict = (
        over.pivot_table(index="method", columns="task", values=column, aggfunc="first").reindex(
            index=methods, columns=tasks
        )
        for column in ("value", "verdict")
    )
    axes.imshow(gain, cmap="RdBu_r", norm=TwoSlopeNorm(0, -0.4, 0.4), aspect="auto")
    for (row, column), number in np.ndenumerate(gain.to_numpy()):
        if np.isnan(number):
            continue
        sign = {"above": "▲", "below": "▼"}.get(verdict.iloc[row, column], "")
        is_dark = abs(number) > 0.25
        text = f"{number:+.2f}".replace("0.", ".") if round(abs(number), 2) else "0"
        axes.text(column, row, f"{text}{sign}", ha="center", va="center", fontsize=5.5,
                  color="white" if is_dark else "black")  # fmt: skip
    scores = ceiling["value"].round(2) + 0.0  # which turns a negative zero into zero
    names = [f"{t.replace('_', ' ')}\n({scores[t]:.2f})".replace("0.", ".") for t in tasks]
    axes.set_xticks(range(len(tasks)), names, fontsize=6, rotation=40, ha="right",
                    rotation_mode="anchor")  # fmt: skip
    axes.set_yticks(range(len(methods)), [])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


# %%
fig, grid = plt.subplots(
    len(datasets), 4, figsize=(13, 3.5 * len(datasets)), squeeze=False, layout="constrained",
    width_ratios=(1, 1, 1.15, 1.35),
)  # fmt: skip
for row, dataset in zip(grid, datasets, strict=True):
    table, task_table = tables[dataset], read_task_table(Path(labels), dataset)
    methods = [*style.UNIMODAL, *style.order(list(read_section("models")))]
    draw_correlations(row[0], table)
    draw_ceilings(row[1], table)
    draw_retention(row[2], table, methods)
    draw_comparison(row[3], table, methods, list(task_table.tasks.index))
    row[0].set_title(style.title(dataset, task_table.simulated), fontsize=10, pad=12)
    row[3].set_title("linear score less the ceiling's (in brackets)", fontsize=7, pad=12)
compared = sum(not is_control(m) for m in style.order(list(read_section("models"))))
count = {1: "one method", 10: "ten methods"}.get(compared, f"{compared} methods")
fig.supxlabel(
    f"▲ above the ceiling (p < 0.05, corrected for the {count}; experts and controls: interval "
    "above 0)   ▼ below it (95 % interval)   no mark: not told apart", fontsize=7,
)  # fmt: skip
style.save(fig, Path(figure))
