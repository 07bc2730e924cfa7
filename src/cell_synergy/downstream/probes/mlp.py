"""The nonlinear probe: a network with one hidden layer, trained for all tasks at once.

Each task is fitted to all training rows and to the rows outside each inner fold, with every weight
decay of the grid. Weight decay, epoch and a shrinkage factor on the network's output are selected
by inner cross-validation; predictions come from the fit to all training rows at the selected epoch.

A label that depends on two features only jointly (XOR) gives random initial weights no gradient
that rises above the noise of few rows. Hidden units therefore start along principal Hessian
directions (Li 1992): the directions along which features interact most about the label.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.probes._mlp_training import Training
from cell_synergy.downstream.probes.config import MLPConfig
from cell_synergy.downstream.probes.tasks import Prediction, ProbeTask


def predict(
    blocks: Sequence[Float32[np.ndarray, "obs _"]],
    probe_tasks: Sequence[ProbeTask],
    settings: MLPConfig,
    seed: int,
    *,
    late: bool = False,
) -> list[Prediction]:
    """Fit the nonlinear probe to every task independently, and predict the test rows.

    Parameters
    ----------
    blocks
        Standardised features of all observations, e.g. one block per embedding. With several
        blocks, unless fusion is late, hidden units start along interactions between blocks.
    probe_tasks
        Train/test problems.
    settings
        Configuration of the nonlinear probe.
    seed
        Seed of initial weights and batches.
    late
        Late fusion: one hidden layer per block, trained jointly, with outputs added. Otherwise one
        hidden layer reads the concatenated blocks.

    Returns
    -------
    :
        One prediction for the test rows per task, in the order of the tasks.

    Raises
    ------
    DataError
        If a feature is not finite, or all training rows of a task are in one inner fold.
    ConfigError
        If the loss is not finite.
    """
    for number, block in enumerate(blocks):
        if len(wrong := np.flatnonzero(~np.isfinite(block).all(axis=1))):
            raise DataError(
                f"block {number} of the representation is not finite for {len(wrong)} "
                f"observations, first number {wrong[0]}; train it again, with a smaller lr"
            )
    order = sorted(range(len(probe_tasks)), key=lambda number: probe_tasks[number].classes == 0)
    if not order:
        return []
    ordered = [probe_tasks[number] for number in order]
    predictions = Training(blocks, ordered, settings, seed, late=late).run()
    return [predictions[order.index(number)] for number in range(len(probe_tasks))]
