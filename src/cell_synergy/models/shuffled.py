"""Shuffled control: CoMM trained on pairs whose expression is permuted within each donor.

The method is `comm` with its hyperparameters and `pairing: within-donor`. Its score above chance
does not depend on which patch and which expression profile are of one observation.
"""

from cell_synergy.models.comm import Model

__all__ = ["Model"]
