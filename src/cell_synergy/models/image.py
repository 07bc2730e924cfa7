"""Image: the image expert alone; SIS compares a fusion with the better expert."""

from typing import ClassVar

import numpy as np
from jaxtyping import Float32

from cell_synergy.training.method import Untrained, Weights


class Model(Untrained):
    """The image embedding; it has no hyperparameters."""

    full_width: ClassVar[bool] = True

    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> Float32[np.ndarray, "obs d3"]:
        return image
