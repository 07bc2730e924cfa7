"""Shuffled control: CoMM, trained on expression embeddings that are permuted within each donor.

The method is `comm` with `pairing: within-donor` (Dufumier et al. 2025; see `models/comm.py`). It
never sees a true pair, so that what it gains over the experts is not due to the pairing.
"""

from cell_synergy.models.comm import Model

__all__ = ["Model"]
