"""Latent states of simulated tissue, decoded from embeddings, and decompositions of labels."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Float64

from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.paired import task_labels
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.design import Design
from cell_synergy.studies.truth import Visible, ground_truth


def true_decompositions(
    paired: PairedDataset,
    tasks: Mapping[str, Task],
    latent: pd.DataFrame,
    visible: Visible,
    probe: ProbeConfig,
) -> pd.DataFrame:
    """Return each label's information decomposition by latent states, and by decoded states.

    States are decoded from the embeddings by linear probes.

    Parameters
    ----------
    paired
        A simulated data set, whose split has one fold.
    tasks
        Tasks of the data set; classifications with labelled test observations are decomposed.
    latent
        True level of each latent state (column) of every observation (row).
    visible
        Latent states that determine a label and are visible in a modality, by task and modality.
    probe
        Configuration of the probes that decode the states.

    Returns
    -------
    :
        One row per `task` and value of `seen`: `tissue` for the states themselves, `embeddings` for
        the decoded states. Other columns are those of `truth.ground_truth`: the parts, `entropy`,
        `gain`, `sis_bits` and `sis_macro_f1`.
    """
    (fold,) = paired.folds
    embeddings = zip(("image", "expression"), paired.standardised(fold), strict=True)
    decoded = {}
    for modality, x in embeddings:
        states = sorted({state for shown in visible.values() for state in shown[modality]})
        decoded[modality] = confusions(x, latent[states], fold.probe, fold.test, probe)
    labels = {
        task: task_labels(paired.adata, task).cat.codes.to_numpy(np.int64)
        for task, spec in tasks.items()
        if spec.kind == "classification"
    }
    labels = {task: codes for task, codes in labels.items() if (codes[fold.test] >= 0).any()}
    return ground_truth(latent, labels, visible, decoded, fold.test)


def confusions(
    x: Float32[np.ndarray, "obs d"],
    states: pd.DataFrame,
    train: Bool[np.ndarray, " obs"],
    test: Bool[np.ndarray, " obs"],
    probe: ProbeConfig,
) -> dict[str, Float64[np.ndarray, "true decoded"]]:
    """Return p(decoded level | true level) of each latent state, decoded by linear probes.

    Half a count is added to every entry, so that no probability is zero.

    Parameters
    ----------
    x
        Embedding of all observations.
    states
        True level of each latent state (column) of every observation (row).
    train, test
        Masks of the observations on which the probes are fitted, and of those that are decoded.
    probe
        Configuration of the probes; the penalty is the middle one of the grid.

    Returns
    -------
    :
        Confusion matrix by state: rows are true levels, columns decoded ones, and rows sum to one.
    """
    penalties = probe.penalties()
    design = Design.of(x[train])
    matrices = {}
    for name in states:
        state = states[name].to_numpy(np.int64)
        levels = int(state.max()) + 1
        (linear,) = design.logistic(
            state[train],
            levels,
            [penalties[len(penalties) // 2]],
            probe.tolerance,
            probe.iterations,
        )
        decoded = linear.scores(x[test]).argmax(axis=1)
        counts = np.full((levels, levels), 0.5)
        np.add.at(counts, (state[test], decoded), 1)
        matrices[str(name)] = counts / counts.sum(axis=1, keepdims=True)
    return matrices
