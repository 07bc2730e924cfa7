"""Features of a frozen expert, standardised for one fold."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped

from cell_synergy.data.embeddings import moments, standardise


@dataclass(frozen=True)
class FrozenFeatures:
    """Features of the frozen expert, and their standardisation, also used for fine-tuned features.

    Attributes
    ----------
    z
        Standardised features of all observations: (features - mean) * factor.
    mean, factor
        Mean and reciprocal standard deviation (0 for a constant feature) by standardisation group.
    group
        Index of the standardisation group of each observation.
    """

    z: Float32[np.ndarray, "obs d"]
    mean: Float32[np.ndarray, "groups d"]
    factor: Float32[np.ndarray, "groups d"]
    group: Int[np.ndarray, " obs"]

    @classmethod
    def of(
        cls,
        x: Float32[np.ndarray, "obs d"],
        fit: Bool[np.ndarray, " obs"],
        groups: Shaped[np.ndarray, " obs"],
        mode: str,
    ) -> "FrozenFeatures":
        """Return the standardised features of the frozen expert, and their standardisation.

        Parameters
        ----------
        x
            Features of all observations.
        fit, groups
            Mask of the training observations, and donor (section, block) of each observation.
        mode
            `train` standardises by the training observations, `donor` each group by all of its own.
        """
        _, codes = np.unique(groups, return_inverse=True)
        if mode == "train":
            masks, group = [fit], np.zeros_like(codes)
        else:
            masks, group = [codes == code for code in range(codes.max() + 1)], codes
        means, factors = zip(*(moments(x[mask]) for mask in masks), strict=True)
        return cls(
            standardise(x, fit, groups, mode),
            np.stack(means).astype(np.float32),
            np.stack(factors).astype(np.float32),
            group,
        )
