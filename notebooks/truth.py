# %% [markdown]
# # True decomposition and measured gains of the simulated data sets
# Left: information about the label of each task, in bits, in the latent states that the two
# modalities show; in these states as a linear probe decodes them from each expert's embedding (an
# estimate); and estimated from embeddings and labels, without the states. Right: the Bayes gain of
# the decoded states over both experts, as a share of the label's entropy H (dashed), which is no
# bound because decoding loses information; and the measured gain of every method (points) and
# control (crosses) under linear probes.

# %% tags=["parameters"]
figure = "figures/truth"
sis = "results/sis"
information = "results/information"
truth = "results/truth"
labels = "data/labels"

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cell_synergy.core.config import read_param, read_section
from cell_synergy.core.names import is_control
from cell_synergy.data.label_files import read_task_table
from cell_synergy.figures import style
from cell_synergy.scoring.tables import ALL_FOLDS, headline_rows, read_sis

style.set_style()
methods, focal = list(read_section("models")), read_param("method")
listed = style.order([m for m in methods if m not in style.UNIMODAL])
simulated = [d for d in read_param("datasets") if read_task_table(Path(labels), d).simulated]
parts = {
    "redundant": "#8a8a8a", "unique_image": style.IMAGE,
    "unique_expression": style.EXPRESSION, "synergy": style.FOCUS,
}  # fmt: skip
bars = ("tissue", 1, -0.28), ("embeddings", 0.6, 0), ("estimated", 0.3, 0.28)
column_of = dict(zip(("R", "U_image", "U_expression", "S"), parts, strict=True))


def decompositions(dataset):
    """Return the decomposition of every task: of states, of decoded states, and estimated."""
    exact = pd.read_csv(Path(truth, f"{dataset}.csv"))
    estimates = pd.read_csv(Path(information, f"{dataset}.csv"))
    pair = estimates[(estimates["method"] == "pair") & estimates["quantity"].isin(column_of)]
    pair = pair.pivot_table(index="task", columns="quantity", values="bits")
    tables = {seen: rows.set_index("task") for seen, rows in exact.groupby("seen")}
    return tables | {"estimated": pair.rename(columns=column_of).clip(lower=0)}


# %%
if not simulated:
    fig, axes = plt.subplots(figsize=(5, 0.6))
    style.write_message(axes, "no simulated data set in this study: no truth is known")
else:
    fig, grid = plt.subplots(
        len(simulated), 2, figsize=(9.5, 2.5 * len(simulated)), squeeze=False, layout="constrained",
        width_ratios=(1, 1.25),
    )  # fmt: skip
    for (left, right), dataset in zip(grid, simulated, strict=True):
        parts_of = decompositions(dataset)
        if "tissue" not in parts_of:
            for axes in (left, right):
                style.write_message(axes, "no classification task in this data set")
            left.set_title(style.title(dataset, True), fontsize=8)
            continue
        tasks = list(parts_of["tissue"].index)
        for seen, alpha, offset in bars:
            rows = parts_of[seen].reindex(index=tasks, columns=list(parts))
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
        left.set_title(f"{style.title(dataset, True)}: tissue, decoded, learnt", fontsize=8)
        left.set_ylim(0, 1.3 * left.get_ylim()[1])
        left.legend(fontsize=6, loc="upper left", ncols=4, handlelength=1)
        table = headline_rows(read_sis(Path(sis), dataset), fold=ALL_FOLDS)
        expected = parts_of["embeddings"].loc[tasks]
        right.axhline(0, color="black", lw=0.6)
        for position, task in enumerate(tasks):
            bayes = expected.loc[task, "gain"]
            right.plot(
                [position - 0.42, position + 0.42], [bayes] * 2, color="black", lw=1.2, ls="--"
            )
            gains = table[table["task"] == task].set_index("method")["gain"]
            for step, method in enumerate(listed):
                x = position - 0.36 + 0.72 * step / max(len(listed) - 1, 1)
                tone = style.colour(method, focal)
                marker = "x" if is_control(method) else "o"
                right.scatter(
                    x, gains.get(method, np.nan), s=14, color=tone, marker=marker, lw=0.9, zorder=3
                )
        right.set_xticks(range(len(tasks)), names, fontsize=6)
        right.set_ylabel("gain over both experts / H")
        right.set_title("points: measured; dashed: Bayes gain of decoded states", fontsize=8)
style.save(fig, Path(figure))
