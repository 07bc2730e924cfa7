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
        Coordinates x and y of corresponding points in the two frames.

    Raises
    ------
    DataError
        If there are fewer than three points, or all lie on one line.
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
    """Map points from the moving to the fixed frame of an affine map.

    Parameters
    ----------
    affine
        Map, as `fit_affine` returns it.
    points
        Coordinates x and y in the moving frame.
    """
    return np.asarray(_homogeneous(points) @ affine)


def nearest_within(
    points: Float64[np.ndarray, "points 2"],
    reference: Float64[np.ndarray, "references 2"],
    radius: float,
) -> Int64[np.ndarray, " points"]:
    """Return the index of each point's nearest reference point, -1 if it is beyond `radius`.

    Parameters
    ----------
    points, reference
        Coordinates x and y of the points, and of at least one reference point, in one frame.
    radius
        Largest distance, in the unit of the coordinates.
    """
    distance, index = cKDTree(reference).query(points)
    return np.where(distance <= radius, index, -1).astype(np.int64)


def _homogeneous(points: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, "points 3"]:
    return np.column_stack([points, np.ones(len(points))])
