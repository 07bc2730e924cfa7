"""Ground truth of simulated tissue: decompositions of labels by the latent states of modalities."""

import json
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, Int
from scipy.special import entr

from cell_synergy.core.errors import DataError
from cell_synergy.pid import discrete
from cell_synergy.raw.registration import nearest_within

COLUMNS = [
    "dataset", "task", "seen", "redundant", "unique_image", "unique_expression", "synergy",
    "entropy", "gain", "sis_bits", "sis_macro_f1",
]  # fmt: skip

Confusions = Mapping[str, Float[np.ndarray, "_true _decoded"]]
"""Probabilities of decoded levels (columns) given the true level (rows), by latent state."""

Visible = Mapping[str, Mapping[str, Iterable[str]]]
"""Latent states that determine a label and are visible in a modality, by task and modality."""


def read(raw: Path, pairs: ad.AnnData, unit_um: float) -> tuple[pd.DataFrame, Visible]:
    """Read the latent states of a simulated data set.

    Parameters
    ----------
    raw
        Folder of the simulator's files.
    pairs
        Paired observations, with coordinates in micrometres.
    unit_um
        Size of an observation in micrometres; states are matched within a quarter of it.

    Returns
    -------
    :
        True level, from 0, of every latent state (column) of every observation (row), and the
        states that determine each label and are visible in each modality, by task and modality.

    Raises
    ------
    DataError
        If an observation has no state within a quarter of `unit_um`.
    """
    path = raw / "latent.csv.gz"
    table = pd.read_csv(path, dtype={"section": str})
    states = table.columns.drop(["section", "x", "y"])
    latent = np.empty((pairs.n_obs, len(states)), dtype=np.int64)
    sections = pairs.obs["section"].astype(str).to_numpy()
    for section in np.unique(sections):
        rows, mask = table[table["section"] == section], sections == section
        coords = np.asarray(pairs.obsm["spatial"])[mask]
        index = nearest_within(coords, rows[["x", "y"]].to_numpy(), unit_um / 4)
        if (index < 0).any():
            raise DataError(
                f"{path}: section {section}: no true state at {coords[index.argmin()].round()} um; "
                "unit_um and reader.origin_um are not the simulator's pitch_um and margin_um"
            )
        latent[mask] = rows[states].to_numpy()[index]
    visible: Visible = json.loads((raw / "visible.json").read_text(encoding="utf-8"))
    return pd.DataFrame(latent, index=pairs.obs_names, columns=states), visible


def state_table(
    latent: pd.DataFrame, labels: Int[np.ndarray, " obs"], visible: Mapping[str, Iterable[str]]
) -> tuple[Float64[np.ndarray, "x1 x2 y"], list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the relative frequencies p(image states, expression states, label) of one task.

    Parameters
    ----------
    latent
        True level of every latent state (column) of each observation (row).
    labels
        Class of each observation, from 0.
    visible
        Latent states of the task that are visible in each modality (`image`, `expression`).

    Returns
    -------
    :
        The table, whose entries sum to one, and the combinations of levels, sorted, along its first
        axis (image) and along its second axis (expression).
    """
    states = [
        [tuple(map(int, row)) for row in latent[list(visible[modality])].to_numpy()]
        for modality in ("image", "expression")
    ]
    levels = [sorted(set(combinations)) for combinations in states]
    indices = [
        np.array([level.index(combination) for combination in combinations])
        for combinations, level in zip(states, levels, strict=True)
    ]
    table = np.zeros((len(levels[0]), len(levels[1]), labels.max() + 1))
    np.add.at(table, (*indices, labels), 1)
    return table / table.sum(), levels[0], levels[1]


def channel(
    levels: list[tuple[int, ...]], states: list[str], confusions: Confusions
) -> Float64[np.ndarray, "true decoded"]:
    """Return the confusion matrix of combinations of states, each of which is decoded by itself.

    Parameters
    ----------
    levels
        Combinations of true levels, one per row of the result.
    states
        Names of the states, in the order of the levels of a combination.
    confusions
        Confusion matrix (rows true, columns decoded) of each state.

    Returns
    -------
    :
        Probabilities of decoded combinations; columns are all combinations of levels, including
        those that are absent from the tissue.
    """
    decoded = np.array(list(product(*(range(len(confusions[state])) for state in states))))
    probabilities: Float64[np.ndarray, "true decoded"] = np.ones((len(levels), len(decoded)))
    for index, state in enumerate(states):
        true = np.array([level[index] for level in levels])
        probabilities *= confusions[state][np.ix_(true, decoded[:, index])]
    return probabilities


def describe(table: Float64[np.ndarray, "x1 x2 y"]) -> dict[str, float]:
    """Return the decomposition, the gain and the synergistic information scores of a joint table.

    Returns
    -------
    :
        `redundant`, `unique_image`, `unique_expression` and `synergy`, in bits; `entropy`, that of
        the label, in bits; `gain`, the information of both sources beyond each alone as a share of
        the entropy, NaN of a single class: the synergy and the smaller unique part; `sis_bits`, the
        SIS in mutual information; and `sis_macro_f1`, the SIS in macro F1 of Bayes classifiers.
    """
    parts = discrete.broja(table)
    entropy = float(entr(table.sum((0, 1))).sum() / np.log(2))
    gain = parts.synergy + min(parts.unique1, parts.unique2)
    return {
        "redundant": parts.redundant,
        "unique_image": parts.unique1,
        "unique_expression": parts.unique2,
        "synergy": parts.synergy,
        "entropy": entropy,
        "gain": gain / entropy if entropy > 0 else float("nan"),
        "sis_bits": discrete.information_sis(table),
        "sis_macro_f1": discrete.bayes_sis(table),
    }


def ground_truth(
    latent: pd.DataFrame,
    labels: Mapping[str, Int[np.ndarray, " obs"]],
    visible: Visible,
    confusions: Mapping[str, Confusions],
    scored: Bool[np.ndarray, " obs"],
) -> pd.DataFrame:
    """Return each task's partial information decomposition by latent states of both modalities.

    The parts are what the states of image and expression, true or as decoded, tell about the label.

    Parameters
    ----------
    latent
        True level of every latent state (column) of each observation (row).
    labels
        Class of each observation by task; -1 without a label.
    visible
        Latent states that determine each task's label and are visible in each modality.
    confusions
        Confusion matrix (rows true, columns decoded) of each state, by modality.
    scored
        Mask of the test observations, from which alone frequencies are counted: in a finite tissue
        states that are independent by design are dependent by chance.

    Returns
    -------
    :
        Two rows per task, in the order of `visible`: `seen` is `tissue` for the true states and
        `embeddings` for the decoded ones. Other columns: `task`; `redundant, unique_image,
        unique_expression, synergy`, in bits; `entropy` of the scored labels, in bits; `gain`, what
        both modalities tell beyond each alone, as a share of the entropy; `sis_bits` and
        `sis_macro_f1`, the synergistic information scores in mutual information and of Bayes
        classifiers. Tasks that `labels` lacks are left out; every other needs a labelled test
        observation.
    """
    rows = []
    for task, states in visible.items():
        if task not in labels:
            continue
        mask = scored & (labels[task] >= 0)
        table, image, expression = state_table(latent[mask], labels[task][mask], states)
        rows.append({"task": task, "seen": "tissue", **describe(table)})
        channels = [
            channel(levels, list(states[modality]), confusions[modality])
            for modality, levels in (("image", image), ("expression", expression))
        ]
        decoded = discrete.decoded_joint(table, *channels)
        rows.append({"task": task, "seen": "embeddings", **describe(decoded)})
    return pd.DataFrame(rows)
