"""Self-paired control: CoMM fitted on the image embedding paired with itself.

Hyperparameters are those of `comm`. What CoMM gains beyond this control needs both modalities.
"""

from cell_synergy.models.comm import Model as CoMM
from cell_synergy.training.self_paired import SelfPaired


class Model(SelfPaired, CoMM):
    """CoMM on two copies of the image embedding."""

    expert = "image"
