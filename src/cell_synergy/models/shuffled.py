"""Control: CoMM trained on pairs of which expression is permuted within donor.

It is `comm` itself, with the same hyperparameters and `pairing: within-donor`. What it scores above
chance needs no knowledge of which patch and which profile belong together.
"""

from cell_synergy.models.comm import Model

__all__ = ["Model"]
