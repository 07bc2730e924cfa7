"""What is known about a simulated twin: how each label depends on what each modality shows."""

import json
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, Int

from cell_synergy.core.errors import DataError
from cell_synergy.pid import discrete
from cell_synergy.raw.registration import nearest_within

Confusions = Mapping[str, Float[np.ndarray, "_true _decoded"]]
"""Per latent state, the probability of each decoded level given the true one."""

Visible = Mapping[str, Mapping[str, Iterable[str]]]
"""Per task and modality, the latent states that this modality shows and the label depends on."""


def read(raw: Path, units: ad.AnnData, unit_um: float) -> tuple[pd.DataFrame, Visible]:
    """Read what the simulator wrote beside a twin's sections.

    Parameters
    ----------
    raw
        Folder of the twin.
    units
        Its pairs.
    unit_um
        Their size: a true state is of the pair that lies within a quarter of it.

    Returns
    -------
    The true level of every latent state in every pair, and which of them each label depends on.
    """
    path = raw / "latent.csv.gz"
    table = pd.read_csv(path, dtype={"section": str})
    states = table.columns.drop(["section", "x", "y"])
    latent = np.empty((units.n_obs, len(states)), dtype=np.int64)
    sections = units.obs["section"].astype(str).to_numpy()
    for section in np.unique(sections):
        rows, own = table[table["section"] == section], sections == section
        place = np.asarray(units.obsm["spatial"])[own]
        found = nearest_within(place, rows[["x", "y"]].to_numpy(), unit_um / 4)
        if (found < 0).any():
            raise DataError(
                f"{path}: section {section}: no true state at {place[found.argmin()].round()} um; "
                "unit_um and sections.origin_um are not the simulator's pitch_um and margin_um"
            )
        latent[own] = rows[states].to_numpy()[found]
    visible: Visible = json.loads((raw / "visible.json").read_text(encoding="utf-8"))
    return pd.DataFrame(latent, index=units.obs_names, columns=states), visible


def state_table(
    latent: pd.DataFrame, labels: Int[np.ndarray, " obs"], shown: Mapping[str, Iterable[str]]
) -> tuple[Float64[np.ndarray, "x1 x2 y"], list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return p(image states, expression states, label) as counted over units.

    Returns
    -------
    The table, and the combination of latent levels behind each row (image) and column (expression).
    """
    combined = [
        [tuple(map(int, row)) for row in latent[list(shown[side])].to_numpy()]
        for side in ("image", "expression")
    ]
    levels = [sorted(set(side)) for side in combined]
    places = [
        np.array([level.index(state) for state in side])
        for side, level in zip(combined, levels, strict=True)
    ]
    table = np.zeros((len(levels[0]), len(levels[1]), labels.max() + 1))
    np.add.at(table, (*places, labels), 1)
    return table / table.sum(), levels[0], levels[1]


def channel(
    levels: list[tuple[int, ...]], states: list[str], confusions: Confusions
) -> Float64[np.ndarray, "true decoded"]:
    """Return how a combination of states is decoded, each state confused on its own.

    Columns are all combinations of levels, also those that the tissue does not have.
    """
    decoded = np.array(list(product(*(range(len(confusions[state])) for state in states))))
    blurred: Float64[np.ndarray, "true decoded"] = np.ones((len(levels), len(decoded)))
    for place, state in enumerate(states):
        true = np.array([level[place] for level in levels])
        blurred *= confusions[state][np.ix_(true, decoded[:, place])]
    return blurred


def describe(table: Float64[np.ndarray, "x1 x2 y"]) -> dict[str, float]:
    """Return decomposition (bits) and synergistic information scores of a state table."""
    parts = discrete.broja(table)
    return {
        "redundant": parts.redundant,
        "unique_image": parts.unique1,
        "unique_expression": parts.unique2,
        "synergy": parts.synergy,
        "sis_bits": discrete.information_sis(table),
        "sis_macro_f1": discrete.bayes_sis(table),
    }


def truths(
    latent: pd.DataFrame,
    labels: Mapping[str, Int[np.ndarray, " obs"]],
    visible: Visible,
    confusions: Mapping[str, Confusions],
    scored: Bool[np.ndarray, " obs"],
) -> pd.DataFrame:
    """Return what is known of each task, before and after the experts.

    Parameters
    ----------
    latent
        True level of every latent state.
    labels
        Class number of each unit per task, -1 without a label.
    visible
        What the label depends on.
    confusions
        Per modality (`image`, `expression`), how its expert's embedding confuses each state.
    scored
        Test units: smooth fields make the states of a finite tissue dependent, so that the truth is
        that of the tissue which is scored.

    Returns
    -------
    One row per task and `seen` (`paired` or `embeddings`), information in bits.
    """
    rows = []
    for task, shown in visible.items():
        if task not in labels:
            continue
        own = scored & (labels[task] >= 0)
        table, image, expression = state_table(latent[own], labels[task][own], shown)
        rows.append({"task": task, "seen": "tissue", **describe(table)})
        channels = [
            channel(levels, list(shown[side]), confusions[side])
            for side, levels in (("image", image), ("expression", expression))
        ]
        decoded = discrete.decoded_joint(table, *channels)
        rows.append({"task": task, "seen": "embeddings", **describe(decoded)})
    return pd.DataFrame(rows)
