"""Bilinear: canonical variates of both experts, and the products of paired variates.

CCA (Hotelling 1936; ridge of Vinod 1976) aligns direction i of the image with direction i of the
expression; `z3` is the k variates u, the k variates v, all standardised, and u_i v_i: low-rank
bilinear pooling (Kim et al. 2017, "Hadamard Product for Low-rank Bilinear Pooling", ICLR) with
directions in closed form. `bilinear_full` has the products u_i v_j of all pairs.

What the products add to an aligned pair. InfoNCE is minimal for a critic that equals, up to a
function of one view, the pointwise mutual information of the two views (van den Oord et al. 2018,
equation 4; Poole et al. 2019). If the views share several independent states it is a sum over
states, and the product of two states has weight 0 in it: no method that minimises InfoNCE makes
an XOR of independent states linear, with any number of pairs. The critic of the spectral
contrastive loss (HaoChen et al. 2021) is the ratio of densities, a product over states: if the
states correlate by rho_1 and rho_2 between the views, their XOR is an eigenfunction with eigenvalue
rho_1 rho_2. tests/models/test_products.py shows both on exact tables. A *matched* state (the two
experts' states obey a rule in training) is a product of aligned variates: where u_i and v_i
disagree, the rule is broken.

Labels of the simulated tissue that say whether two states match, or are their XOR, are products of
states by construction. A gain of this method there shows what a readout can do with aligned
embeddings, not that the niches of real tissue are products.

Departures: none of the low-rank maps is trained; there is no non-linearity.
"""

from typing import ClassVar

import numpy as np
from jaxtyping import Float64
from pydantic import PositiveFloat

from cell_synergy.training.cca import covariances, solve
from cell_synergy.training.method import Pairs
from cell_synergy.training.products import Products


class Model(Products):
    """Regularised CCA with products of the variates; `z3` has 3 `components` features.

    Attributes
    ----------
    ridge
        Constant added to each variance, as a share of the modality's mean variance.
    """

    all_products: ClassVar[bool] = False
    ridge: PositiveFloat

    def directions(
        self, pairs: Pairs, seed: int
    ) -> tuple[Float64[np.ndarray, "d1 k"], Float64[np.ndarray, "d2 k"]]:
        solution = solve(covariances(pairs.image, pairs.expression), self.ridge, self.components)
        return solution.image, solution.expression
