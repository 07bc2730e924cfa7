"""How well each expert's embedding shows each latent state of a simulated twin."""

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
    """Return p(decoded level | true level) of each state on test units, by linear probes of `x`.

    The probes' penalty is the middle of their grid. Half a unit is added to every cell, so that no
    confusion is taken for impossible.
    """
    grid = probe.grid()
    design = Design.of(x[train])
    found = {}
    for name in states:
        state = states[name].to_numpy(np.int64)
        levels = int(state.max()) + 1
        (linear,) = design.logistic(
            state[train], levels, [grid[len(grid) // 2]], probe.tolerance, probe.iterations
        )
        decoded = linear.scores(x[test]).argmax(axis=1)
        counts = np.full((levels, levels), 0.5)
        np.add.at(counts, (state[test], decoded), 1)
        found[str(name)] = counts / counts.sum(axis=1, keepdims=True)
    return found
