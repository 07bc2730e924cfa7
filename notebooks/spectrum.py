# %% [markdown]
# # The spectral ceiling
# Canonical correlations of the two embeddings, within donors, in the leading principal axes of
# each. First: the sample's correlations of all training pairs, those of shuffled pairs, the edge
# that no shuffle exceeded, what is left of those above it, and the same directions on test donors
# (95 % interval). Second: the ceiling (sum of squared correlations) by number of pairs; in the
# shaded range it is not estimable, whatever the sample shows. Third: what a linear reader finds in
# each method's joint embedding, on test donors, of what both experts show and of what one alone
# shows. Fourth: linear scores of the methods less that of the canonical variates above the edge.

# %% tags=["parameters"]
figure = "figures/spectrum"
spectrum = "results/spectrum"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm

from cell_synergy.core.config import read_param, read_section
from cell_synergy.figures import style

style.style()
datasets, focal = read_param("datasets"), read_param("method")
tables = {d: pd.read_csv(Path(spectrum, f"{d}.csv"), dtype={"seed": str}) for d in datasets}
SAMPLE, HELD, NOISE = "#2f6690", "#c1272d", "#8a8a8a"
tables[datasets[0]].groupby("quantity")["value"].describe()


# %%
def picked(table, quantity, **where):
    """Return the rows of a quantity."""
    rows = table[table["quantity"] == quantity]
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    return rows


def limits(axes, x, rows, tone, **look):
    """Draw values with their intervals, where there are some."""
    axes.errorbar(
        x, rows["value"], [rows["value"] - rows["low"], rows["high"] - rows["value"]], color=tone,
        lw=0.8, **look,
    )  # fmt: skip


def ranks(axes, table):
    """Draw the spectrum of all pairs."""
    own = {"space": "axes", "fraction": table["fraction"].max(), "pairs": "own"}
    top = max(picked(table, name, **own)["value"].iloc[0] for name in ("edge", "largest_shuffled"))
    sample = picked(table, "correlation", **own)
    noise = picked(table, "shuffled", **own)
    axes.axhspan(0, top, color="#eeeeee", lw=0)
    axes.plot(sample["rank"], sample["value"], "o-", ms=3, lw=0.8, color=SAMPLE, label="sample")
    left = picked(table, "corrected", **own)
    left = left[left["value"] > 0]
    axes.plot(left["rank"], left["value"], "D", ms=3.5, mfc="none", mew=0.9, color=SAMPLE,
              label="corrected")  # fmt: skip
    limits(axes, noise["rank"], picked(table, "held_out", **own), HELD, fmt="s", ms=3,
           label="test donors")  # fmt: skip
    axes.plot(noise["rank"], noise["value"], "--", lw=0.9, color=NOISE, label="shuffled pairs")
    axes.axhline(0, color="black", lw=0.6)
    axes.set(ylim=(-0.15, 1), xlabel="rank", ylabel="canonical correlation")
    axes.set_xticks(range(1, int(sample["rank"].max()) + 1, 5))
    axes.legend(fontsize=6, loc="upper right")
    axes.text(
        sample["rank"].max(), top + 0.01, "edge of noise", fontsize=6, ha="right", va="bottom",
        color="#5a5a5a",
    )  # fmt: skip


def ceilings(axes, table):
    """Draw the ceiling by number of pairs."""
    where = {"space": "axes"}
    pairs = picked(table, "freedom", pairs="own", **where)
    blind = pairs.loc[
        picked(table, "largest_shuffled", pairs="own", **where)["value"].isna().to_numpy(), "value"
    ]
    seen = pairs.loc[~pairs.index.isin(blind.index), "value"]
    if len(blind):
        border = np.sqrt(blind.max() * seen.min()) if len(seen) else 2 * blind.max()
        axes.axvspan(0.7 * blind.min(), border, color="#eeeeee", lw=0)
        axes.text(
            np.sqrt(0.7 * blind.min() * border), 0.5, "not estimable", fontsize=6.5, ha="center",
            va="center", color="#5a5a5a", transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    looks = {"own": (SAMPLE, "o"), "shuffled": (NOISE, "^")}
    for name, (tone, mark) in looks.items():
        raw, left = (
            picked(table, q, pairs=name, **where) for q in ("ceiling", "ceiling_corrected")
        )
        axes.plot(pairs["value"], raw["value"], f"{mark}:", ms=3, lw=0.9, color=tone,
                  label=f"{name} pairs, sample")  # fmt: skip
        axes.plot(pairs["value"], left["value"], f"{mark}-", ms=3.5, lw=1.1, color=tone,
                  label=f"{name} pairs, corrected")  # fmt: skip
    limits(axes, pairs["value"], picked(table, "ceiling_held_out", pairs="own", **where), HELD,
           fmt="s-", ms=3, label="own pairs, test donors")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1, linscale=0.7)
    axes.set(ylim=(-0.3, 400), xlim=(0.7 * pairs["value"].min(), 1.4 * pairs["value"].max()))
    axes.set(yticks=[0, 1, 10, 100], yticklabels=["0", "1", "10", "100"])
    axes.set(xlabel="pairs less donors", ylabel="ceiling: sum of squared correlations")
    axes.legend(fontsize=5.5, loc="upper right")


def kept(axes, table, methods):
    """Draw what every method keeps."""
    if picked(table, "unique_image").empty:
        style.tell(axes, "too few training pairs to say what both modalities show")
        return
    looks = {
        "shared": ("both show", "o", SAMPLE),
        "unique_image": ("the image alone shows", "<", style.IMAGE),
        "unique_expression": ("expression alone shows", ">", style.EXPRESSION),
    }
    for quantity, (label, mark, tone) in looks.items():
        rows = picked(table, quantity, seed="all").set_index("method").reindex(methods)
        places = np.arange(len(methods)) + {"shared": -0.2, "unique_image": 0}.get(quantity, 0.2)
        axes.hlines(places, rows["low"], rows["high"], color=tone, lw=0.8)
        axes.plot(rows["value"], places, mark, ms=3.5, color=tone, label=label)
    axes.axvline(0, color="black", lw=0.6)
    axes.axvline(1, color="black", lw=0.6, ls=":")
    axes.set_yticks(range(len(methods)), [style.NAMES.get(m, m) for m in methods])
    axes.set(ylim=(len(methods) - 0.5, -0.5), xlim=(-0.08, 1.08))
    axes.set_xlabel("share kept of what ...")
    axes.tick_params(labelsize=6.5, length=2)
    axes.legend(fontsize=5.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3,
                handletextpad=0.1, columnspacing=0.8)  # fmt: skip


def standing(axes, table, methods, tasks):
    """Draw each method's scores less the ceiling's."""
    if picked(table, "over_ceiling").empty:
        why = "no task in this data set"
        if picked(table, "unique_image").empty:
            why = "too few training pairs for a ceiling"
        style.tell(axes, why)
        return
    over = picked(table, "over_ceiling")
    over = over[over["metric"].isin(["macro_f1", "r2"])]
    top = picked(table, "score", method="ceiling")
    top = top[top["metric"].isin(["macro_f1", "r2"])].set_index("task")
    tasks = [task for task in tasks if task in top.index]
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
        dark = abs(number) > 0.25
        text = f"{number:+.2f}".replace("0.", ".") if round(abs(number), 2) else "0"
        axes.text(column, row, f"{text}{sign}", ha="center", va="center", fontsize=5.5,
                  color="white" if dark else "black")  # fmt: skip
    names = [
        f"{t.replace('_', ' ')}\n({top.loc[t, 'value']:.2f})".replace("0.", ".") for t in tasks
    ]
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
    table, spec = tables[dataset], read_section(f"data.{dataset}")
    methods = [*style.UNIMODAL, *style.order(list(read_section("models")))]
    ranks(row[0], table)
    ceilings(row[1], table)
    kept(row[2], table, methods)
    standing(row[3], table, methods, list(spec["tasks"]))
    row[0].set_title(style.title(dataset, spec["source"] == "simulator"), fontsize=10, pad=12)
    row[3].set_title("linear score less the ceiling's (in brackets)", fontsize=7, pad=12)
compared = len(style.order(list(read_section("models")))) - len(
    set(read_section("models")) & set(style.CONTROLS)
)
count = {1: "one method", 10: "ten methods"}.get(compared, f"{compared} methods")
fig.supxlabel(
    f"▲ above the ceiling (p < 0.05, corrected for the {count}; experts and controls: interval "
    "above 0)   ▼ below it (95 % interval)   no mark: not told apart", fontsize=7,
)  # fmt: skip
style.save(fig, Path(figure))
