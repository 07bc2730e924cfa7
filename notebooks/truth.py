# %% [markdown]
# # Known decomposition and measured SIS of the simulated twins
# Left: what the label of each task shares with the states that the two modalities show (bits), on
# the tissue; as far as each state can be decoded from its expert's embedding by a linear probe (an
# estimate); and as learnt from the labels alone, without knowing the states. Right: the SIS of a
# reader of the decoded states, dashed, which is no bound because decoding loses information; and
# the measured SIS of every method and control.

# %% tags=["parameters"]
figure = "figures/truth"
sis = "results/sis"
information = "results/information"
truth = "results/truth"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cell_synergy.core.config import read_param, read_section
from cell_synergy.figures import style
from cell_synergy.scoring.tables import ALL_FOLDS, read_sis

style.style()
methods, focal = list(read_section("models")), read_param("method")
shown = style.order([m for m in methods if m not in style.UNIMODAL])
twins = [d for d in read_param("datasets") if read_section(f"data.{d}")["source"] == "simulator"]
parts = {
    "redundant": "#8a8a8a", "unique_image": style.IMAGE,
    "unique_expression": style.EXPRESSION, "synergy": style.FOCUS,
}  # fmt: skip
bars = ("tissue", 1, -0.28), ("embeddings", 0.6, 0), ("learnt", 0.3, 0.28)
learnt = dict(zip(("R", "U_image", "U_expression", "S"), parts, strict=True))


def decompositions(twin):
    """Return the parts of every task: on tissue, as decoded, as learnt."""
    known = pd.read_csv(Path(truth, f"{twin}.csv"))
    found = pd.read_csv(Path(information, f"{twin}.csv"))
    pair = found[(found["method"] == "pair") & found["quantity"].isin(learnt)]
    pair = pair.pivot_table(index="task", columns="quantity", values="bits").rename(columns=learnt)
    seen = {kind: rows.set_index("task") for kind, rows in known.groupby("seen")}
    return seen | {"learnt": pair.clip(lower=0)}


# %%
if not twins:
    fig, axes = plt.subplots(figsize=(5, 0.6))
    style.tell(axes, "no simulated data set in this study: no truth is known")
else:
    fig, grid = plt.subplots(
        len(twins), 2, figsize=(9.5, 2.5 * len(twins)), squeeze=False, layout="constrained",
        width_ratios=(1, 1.25),
    )  # fmt: skip
    for (left, right), twin in zip(grid, twins, strict=True):
        known = decompositions(twin)
        if "tissue" not in known:
            for axes in (left, right):
                style.tell(axes, "no classification task in this data set")
            left.set_title(style.title(twin, True), fontsize=8)
            continue
        tasks = list(known["tissue"].index)
        for seen, alpha, offset in bars:
            rows = known[seen].reindex(index=tasks, columns=list(parts))
            bottom = np.zeros(len(tasks))
            for part, tone in parts.items():
                left.bar(
                    np.arange(len(tasks)) + offset, rows[part], 0.25, bottom, color=tone, lw=0,
                    label=part.replace("_", " ") if seen == "tissue" else None,
                    alpha=alpha,
                )  # fmt: skip
                bottom += rows[part].to_numpy()
        names = [task.replace("_", "\n") for task in tasks]
        left.set_xticks(range(len(tasks)), names, fontsize=6)
        left.set_ylabel("bits about the label")
        left.set_title(f"{style.title(twin, True)}: tissue, decoded, learnt", fontsize=8)
        left.set_ylim(0, 1.3 * left.get_ylim()[1])
        left.legend(fontsize=6, loc="upper left", ncols=4, handlelength=1)
        table = read_sis(Path(sis), twin)
        table = table[(table["metric"] == "macro_f1") & (table["fold"] == ALL_FOLDS)]
        table = table[table["probe"].str.startswith("linear")]
        expected = known["embeddings"].loc[tasks]
        right.axhline(0, color="black", lw=0.6)
        for place, task in enumerate(tasks):
            bound = expected.loc[task, "sis_macro_f1"]
            right.plot([place - 0.42, place + 0.42], [bound] * 2, color="black", lw=1.2, ls="--")
            own = table[table["task"] == task].set_index("method")["sis"]
            for step, method in enumerate(shown):
                x = place - 0.36 + 0.72 * step / max(len(shown) - 1, 1)
                tone = style.colour(method, focal)
                mark = "x" if method in style.CONTROLS else "o"
                right.scatter(
                    x, own.get(method, np.nan), s=14, color=tone, marker=mark, lw=0.9, zorder=3
                )
        right.set_xticks(range(len(tasks)), names, fontsize=6)
        right.set_ylabel("SIS (macro F1)")
        right.set_title("points: measured; dashed: reader of decoded states", fontsize=8)
style.save(fig, Path(figure))
