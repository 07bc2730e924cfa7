"""Concat: the inputs from both experts side by side; the baseline of every fusion method.

The inputs are principal axes, as those of every fusion method (`align.axes` in params.yaml);
`concat_full` has all features of both embeddings.
"""

import numpy as np
from jaxtyping import Float32

from cell_synergy.training.method import Untrained, Weights


class Model(Untrained):
    """Concatenation; it has no hyperparameters."""

    def block_widths(self, image: int, expression: int) -> tuple[int, ...]:
        return image, expression

    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> Float32[np.ndarray, "obs d3"]:
        return np.concatenate([image, expression], axis=1)
