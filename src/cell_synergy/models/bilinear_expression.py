"""Self-paired control: Bilinear fitted on the expression embedding paired with itself.

Hyperparameters are those of `bilinear`. The variates are then the expert's leading principal
directions, twice, and the products their squares: what Bilinear gains beyond this control needs
both modalities, not only a quadratic readout.
"""

from cell_synergy.models.bilinear import Model as Bilinear
from cell_synergy.training.self_paired import SelfPaired


class Model(SelfPaired, Bilinear):
    """Bilinear on two copies of the expression embedding."""

    expert = "expression"
