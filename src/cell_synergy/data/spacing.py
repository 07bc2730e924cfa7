"""How far apart the spots of an array lie; cells, which may lie anywhere, are no array."""

import numpy as np
from jaxtyping import Float

# Spacing over size of spots. Fields may overlap a little (112 um on Visium's 100); Visium's spots
# lie 1.8 of their diameters apart, those of Spatial Transcriptomics and of DBiT-seq 2.
CLOSEST, WIDEST = 0.75, 2.5
_REGULAR = 0.25  # interquartile range over median of an array's spacing; of cells it is 0.4 to 0.8


def of_array(nearest: Float[np.ndarray, " obs"]) -> float | None:
    """Return the spacing of an array, of distances to nearest neighbours; None of anything else."""
    low, middle, high = np.quantile(nearest, [0.25, 0.5, 0.75])
    return float(middle) if high - low <= _REGULAR * middle and middle > 0 else None
