"""Control: CoMM trained on pairs whose expression embeddings are permuted within each donor.

It is `comm` itself, with the same hyperparameters and `pairing: within-donor`. Whatever it
scores above chance does not depend on which patch and which profile belong together.
"""

from cell_synergy.models.comm import Model

__all__ = ["Model"]
