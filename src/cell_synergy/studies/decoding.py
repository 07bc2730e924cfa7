"""Confusion matrices of the latent states of simulated tissue, decoded from embeddings."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Float64

from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.design import Design


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
        Masks of the observations that the probes are fitted on, and that are decoded.
    probe
        Configuration of the probes; the penalty is the middle one of the grid.

    Returns
    -------
    :
        Confusion matrix by state; its rows sum to one.
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
