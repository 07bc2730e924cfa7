"""Distance between neighbouring spots of a regular array; cells have no such distance."""

import numpy as np
from jaxtyping import Float

# Range of the ratio of spacing to size of an observation: below 1 where fields of view overlap (112
# um at Visium's 100 um), 1.8 for Visium's spots, 2 for Spatial Transcriptomics and DBiT-seq.
SPACING_MIN, SPACING_MAX = 0.75, 2.5
# Largest ratio of interquartile range to median of nearest-neighbour distances in a regular array;
# cells have 0.4 to 0.8.
_REGULAR = 0.25


def regular_spacing(nearest: Float[np.ndarray, " obs"]) -> float | None:
    """Return the median nearest-neighbour distance of a regular array; None if irregular.

    Parameters
    ----------
    nearest
        Distances of observations to their nearest neighbours, in any unit; at least one value. The
        array is regular if the interquartile range of these distances is at most a quarter of
        their median, and the median is above 0.
    """
    low, median, high = np.quantile(nearest, [0.25, 0.5, 0.75])
    return float(median) if high - low <= _REGULAR * median and median > 0 else None
