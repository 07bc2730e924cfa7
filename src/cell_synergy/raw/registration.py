"""Affine registration of sections, and transfer of labels to the nearest registered point."""

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial import cKDTree

from cell_synergy.core.errors import DataError


def fit_affine(
    moving: Float64[np.ndarray, "points 2"], fixed: Float64[np.ndarray, "points 2"]
) -> Float64[np.ndarray, "3 2"]:
    """Return the least-squares affine map `fixed = [moving, 1] @ affine`.

    Parameters
    ----------
    moving, fixed
        Coordinates of the same points in two frames.
    """
    affine, _, rank, _ = np.linalg.lstsq(_homogeneous(moving), fixed, rcond=None)
    if rank < affine.shape[0]:
        raise DataError(
            f"{len(moving)} registered points lie on one line, which determines no affine map; "
            "register at least three that do not"
        )
    return np.asarray(affine)


def apply_affine(
    affine: Float64[np.ndarray, "3 2"], points: Float64[np.ndarray, "points 2"]
) -> Float64[np.ndarray, "points 2"]:
    """Map points into the frame that `affine` was fitted to."""
    return np.asarray(_homogeneous(points) @ affine)


def nearest_within(
    points: Float64[np.ndarray, "points 2"],
    reference: Float64[np.ndarray, "references 2"],
    radius: float,
) -> Int64[np.ndarray, " points"]:
    """Return the index of the nearest reference point, -1 where it is further than `radius`.

    Parameters
    ----------
    points, reference
        Coordinates in one frame.
    radius
        Largest distance, in the unit of the coordinates.
    """
    distance, index = cKDTree(reference).query(points)
    return np.where(distance <= radius, index, -1).astype(np.int64)


def _homogeneous(points: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, "points 3"]:
    return np.column_stack([points, np.ones(len(points))])
