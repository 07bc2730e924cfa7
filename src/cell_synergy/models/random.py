"""Random control: a Gaussian projection of the concatenation, the floor of every fusion method.

Johnson and Lindenstrauss 1984: the relative error of distances shrinks with the width.
"""

import numpy as np
from jaxtyping import Float32
from pydantic import PositiveInt

from cell_synergy.core.random import stream
from cell_synergy.training.method import ClosedForm, Pairs, Weights


class Model(ClosedForm):
    """Random projection; `width` is the dimension of the joint embedding."""

    width: PositiveInt

    @property
    def seeded(self) -> bool:
        return True

    def solve(self, pairs: Pairs, seed: int) -> Weights:
        return {"seed": np.array(seed)}

    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> Float32[np.ndarray, "obs d3"]:
        x = np.concatenate([image, expression], axis=1)
        rng = stream(int(weights["seed"]), "projection")
        axes = rng.standard_normal((x.shape[1], self.width)) / np.sqrt(x.shape[1])
        joint: Float32[np.ndarray, "obs d3"] = x @ axes.astype(np.float32)
        return joint
