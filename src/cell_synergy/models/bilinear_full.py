"""Bilinear with all products: canonical variates of both experts, and every u_i v_j.

The method is `bilinear`, whose file has the theory and its limits, with the products of all pairs
of variates (Tenenbaum and Freeman 2000, "Separating Style and Content with Bilinear Models", Neural
Computation 12): `components` (2 + `components`) features. An XOR of two states that different
directions show is among them; the price is that most of the products are noise to a probe with few
labels.
"""

from typing import ClassVar

from cell_synergy.models.bilinear import Model as Bilinear


class Model(Bilinear):
    """Regularised CCA with all products of the variates."""

    all_products: ClassVar[bool] = True
