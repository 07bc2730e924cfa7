"""Random products control: random projections of each expert, and their products by elements.

The readout is that of `bilinear` on Gaussian projections (Johnson and Lindenstrauss 1984), which
are fitted to nothing: the floor of every method with products.
"""

import numpy as np
from jaxtyping import Float64

from cell_synergy.core.random import stream
from cell_synergy.training.method import Pairs
from cell_synergy.training.products import MODALITIES, Products


class Model(Products):
    """Random projections of each embedding, with products; `z3` has 3 `components` features."""

    @property
    def seeded(self) -> bool:
        return True

    def directions(
        self, pairs: Pairs, seed: int
    ) -> tuple[Float64[np.ndarray, "d1 k"], Float64[np.ndarray, "d2 k"]]:
        image, expression = (
            stream(seed, "projection", modality).standard_normal((x.shape[1], self.components))
            / np.sqrt(x.shape[1])
            for modality, x in zip(MODALITIES, (pairs.image, pairs.expression), strict=True)
        )
        return image, expression
