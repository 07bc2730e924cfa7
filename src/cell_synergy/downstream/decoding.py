"""How well each expert's embedding shows each latent state of a simulated twin."""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from cell_synergy.downstream.judging import Probe
from cell_synergy.downstream.probes import Gram


def confusion(
    x: Float32[np.ndarray, "units d"],
    state: Int[np.ndarray, " units"],
    train: Bool[np.ndarray, " units"],
    test: Bool[np.ndarray, " units"],
    probe: Probe,
) -> Float64[np.ndarray, "true decoded"]:
    """Return p(decoded level | true level) on test units, by a linear probe of the embedding.

    The probe's penalty is the middle of its grid. Half a unit is added to every cell, so that no
    confusion is taken for impossible.
    """
    levels = int(state.max()) + 1
    grid = probe.grid()
    linear = Gram(x[train]).logistic(
        state[train], levels, grid[len(grid) // 2], probe.tolerance, probe.iterations
    )
    decoded = linear.scores(x[test]).argmax(axis=1)
    counts: Float64[np.ndarray, "true decoded"] = np.full((levels, levels), 0.5)
    np.add.at(counts, (state[test], decoded), 1)
    counts /= counts.sum(axis=1, keepdims=True)
    return counts
