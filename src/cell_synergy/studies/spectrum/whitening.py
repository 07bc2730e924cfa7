"""Whitening of two modalities along their leading principal axes."""

import numpy as np
from jaxtyping import Float64

from cell_synergy.core.errors import DataError
from cell_synergy.training.cca import Covariances

_ROUNDING = 1e-10  # share of the largest variance below which the variance of an axis is rounding


def whitenings(
    moments: Covariances, axes: int | None
) -> tuple[Float64[np.ndarray, "d1 p"], Float64[np.ndarray, "d2 q"]]:
    """Return for each modality a matrix whose product with the features has identity covariance.

    Columns are the leading principal axes in descending order of variance, each divided by the
    standard deviation along it; axes whose variance is a rounding error are left out.

    Parameters
    ----------
    moments
        Covariances of both modalities, of features centred within donors.
    axes
        Maximal number of axes of each modality; None for all axes with positive variance.

    Raises
    ------
    DataError
        If no feature of a modality varies within donors.
    """
    for name, covariance in (("image", moments.image), ("expression", moments.expression)):
        if not np.diag(covariance).any():
            raise DataError(
                f"{name}: none of its {len(covariance)} features varies within donors; embed again"
            )
    return _whitening(moments.image, axes), _whitening(moments.expression, axes)


def _whitening(
    covariance: Float64[np.ndarray, "d d"], axes: int | None
) -> Float64[np.ndarray, "d k"]:
    variances, vectors = np.linalg.eigh(covariance)
    varies = variances > _ROUNDING * variances[-1]
    leading = np.flatnonzero(varies)[::-1][:axes]
    whitening: Float64[np.ndarray, "d k"] = vectors[:, leading] / np.sqrt(variances[leading])
    return whitening
