"""Spacing of the spots of a regular array; cells, which lie irregularly, have none."""

import numpy as np
from jaxtyping import Float

# Range of spacing over spot diameter. It is below 1 where the fields of view overlap (112 um on
# Visium's 100); it is 1.8 for Visium's spots, and 2 for Spatial Transcriptomics and DBiT-seq.
SPACING_MIN, SPACING_MAX = 0.75, 2.5
_REGULAR = (
    0.25  # largest interquartile range over median of nearest distances; cells have 0.4 to 0.8
)


def regular_spacing(nearest: Float[np.ndarray, " obs"]) -> float | None:
    """Return the median nearest-neighbour distance of a regular array; None if irregular."""
    low, median, high = np.quantile(nearest, [0.25, 0.5, 0.75])
    return float(median) if high - low <= _REGULAR * median and median > 0 else None
