"""PCA control: the concatenation reduced to the width of the fusion methods.

Jolliffe 2002, "Principal Component Analysis", section 2: the principal axes are the leading
eigenvectors of the covariance of the training pairs. The gain of a method that does not exceed this
control may be due to the smaller dimension alone.
"""

import numpy as np
from jaxtyping import Float32
from pydantic import PositiveInt

from cell_synergy.core.principal_axes import principal_axes
from cell_synergy.training.method import ClosedForm, Pairs, Weights


class Model(ClosedForm):
    """PCA of the concatenated embeddings; `width` is the dimension of the joint embedding."""

    width: PositiveInt

    def solve(self, pairs: Pairs, seed: int) -> Weights:
        x = np.concatenate([pairs.image, pairs.expression], axis=1)
        return {"axes": principal_axes(x, self.width)}

    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> Float32[np.ndarray, "obs d3"]:
        return np.concatenate([image, expression], axis=1) @ weights["axes"]
