"""PCA products control: principal axes of each expert, and the products of axes of equal rank.

The readout is that of `bilinear`, but the directions are fitted to each expert alone and nothing
aligns axis i of one with axis i of the other. What `bilinear` gains beyond this control needs
aligned directions; what both gain over `concat` is due to products of features.
"""

import numpy as np
from jaxtyping import Float32

from cell_synergy.core.principal_axes import principal_axes
from cell_synergy.training.method import Pairs
from cell_synergy.training.products import Products


class Model(Products):
    """PCA of each embedding, with products; `z3` has 3 `components` features."""

    def directions(
        self, pairs: Pairs, seed: int
    ) -> tuple[Float32[np.ndarray, "d1 k"], Float32[np.ndarray, "d2 k"]]:
        image, expression = (
            principal_axes(x, self.components) for x in (pairs.image, pairs.expression)
        )
        return image, expression
