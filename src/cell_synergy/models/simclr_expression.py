"""Self-paired control: SimCLR fitted on the expression embedding paired with itself.

Hyperparameters are those of `simclr`. What SimCLR gains beyond this control needs both modalities.
"""

from cell_synergy.models.simclr import Model as SimCLR
from cell_synergy.training.self_paired import SelfPaired


class Model(SelfPaired, SimCLR):
    """SimCLR on two copies of the expression embedding."""

    expert = "expression"
