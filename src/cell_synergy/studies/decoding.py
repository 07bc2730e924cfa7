"""Latent states of simulated tissue, decoded from embeddings, and the decompositions they give."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Float64

from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
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
    """Compute true decompositions from latent states, and from states decoded from embeddings.

    Parameters
    ----------
    paired
        A simulated data set, whose split has one fold.
    tasks
        Its tasks; classifications with labelled test observations are decomposed.
    latent
        True level of each latent state (columns) of each observation (rows).
    visible
        Latent states that determine the label of a task, by task and modality.
    probe
        Configuration of the probes that decode the states.

    Returns
    -------
    :
        One row per task and kind of states; see `cell_synergy.studies.truth.ground_truth`.
    """
    (fold,) = paired.folds
    sides = zip(("image", "expression"), paired.standardised(fold), strict=True)
    decoded = {}
    for side, x in sides:
        states = sorted({state for by_side in visible.values() for state in by_side[side]})
        decoded[side] = confusions(x, latent[states], fold.probe, fold.test, probe)
    labels = {
        task: paired.adata.obs[task].cat.codes.to_numpy(np.int64)
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
    """Return p(decoded level | true level) of each state on test observations, by linear probes.

    Half a count is added to every entry, so that no probability is zero.

    Parameters
    ----------
    x
        Embedding of all observations.
    states
        True level of each latent state.
    train, test
        Observations on which the probes are fitted, and on which confusions are counted.
    probe
        Configuration of the probes; their penalty is the middle of the grid.
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
