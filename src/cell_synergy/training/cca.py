"""Canonical correlation analysis in closed form, from the covariances of two sets of features.

Hotelling 1936, "Relations between two sets of variates". With Cholesky factors `C11 = L1 L1'` and
`C22 = L2 L2'`, the singular value decomposition `L1^-1 C12 L2^-T = U S V'` gives the canonical
correlations `S` and the directions `L1^-T U` and `L2^-T V`. A ridge may be added to each covariance
(Vinod 1976), without which fewer observations than features have no solution.

The cost is that of one Gram matrix. Observations are read once, in blocks: products are computed in
the precision of the embeddings, sums over blocks in float64. The error of the correlations is about
1e-7 for float32 embeddings (1e-5 for a covariance of condition 1e6 without a ridge), and 1e-13 for
float64.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from cell_synergy.core.errors import DataError

BLOCK_SIZE = 2048  # observations per block
_ROUNDING = 16  # a residual variance below this many rounding errors counts as zero


@dataclass(frozen=True)
class Covariances:
    """Covariances of the features of two modalities.

    Attributes
    ----------
    n_obs
        Number of observations, the denominator of the covariances.
    precision
        Relative rounding error of the entries.
    image, expression
        Covariance matrix of the features of each modality.
    cross
        Cross-covariance of image features with expression features.
    """

    n_obs: int
    precision: float
    image: Float64[np.ndarray, "d1 d1"]
    cross: Float64[np.ndarray, "d1 d2"]
    expression: Float64[np.ndarray, "d2 d2"]


@dataclass(frozen=True)
class CanonicalCorrelations:
    """Canonical correlations and canonical directions.

    Attributes
    ----------
    correlations
        Singular values of the whitened cross-covariance, in descending order; with a ridge they are
        smaller than the correlations of the projections.
    image, expression
        Canonical directions, one per column. Without a ridge the projections of the observations
        have variance 1. The largest entry of each image direction is positive.
    """

    correlations: Float64[np.ndarray, " k"]
    image: Float64[np.ndarray, "d1 k"]
    expression: Float64[np.ndarray, "d2 k"]


def covariances(
    image: Float[np.ndarray, "obs d1"], expression: Float[np.ndarray, "obs d2"]
) -> Covariances:
    """Return the covariances of two embeddings of one set of observations, in float64.

    Parameters
    ----------
    image, expression
        Embeddings, in any floating-point precision; row i of both is one observation. They need not
        be centred.
    """
    n_obs, d1 = image.shape
    dtype = np.result_type(image, expression)
    modalities = [(x, x.mean(axis=0, dtype=np.float64).astype(dtype)) for x in (image, expression)]
    gram = np.zeros((d1 + expression.shape[1],) * 2)
    for start in range(0, n_obs, BLOCK_SIZE):
        rows = slice(start, start + BLOCK_SIZE)
        block = np.concatenate([x[rows] - mean for x, mean in modalities], axis=1)
        gram += block.T @ block
    gram /= n_obs
    precision = float(np.finfo(dtype).eps)
    return Covariances(n_obs, precision, gram[:d1, :d1], gram[:d1, d1:], gram[d1:, d1:])


def solve(
    moments: Covariances, ridge: float, components: int | None = None
) -> CanonicalCorrelations:
    """Return the leading canonical correlations and directions.

    Parameters
    ----------
    moments
        Covariances of the training observations.
    ridge
        Constant added to the variances of each modality, as a share of its mean variance.
    components
        Maximal number of correlations; None for the number of features of the smaller modality.

    Returns
    -------
    Correlations in descending order, and one pair of directions for each.

    Raises
    ------
    DataError
        If no feature of a modality varies, features are constant or linearly dependent and the
        ridge is too small, or there is no ridge and both modalities together have as many features
        as there are observations, or more.
    """
    d1, d2 = moments.cross.shape
    if not ridge and moments.n_obs <= d1 + d2:
        raise DataError(
            f"{moments.n_obs} observations of {d1} + {d2} features: some combinations correlate "
            "perfectly for any data; take more observations or a ridge above 0"
        )
    l1 = _regularised_cholesky("image", moments.image, ridge, moments.precision)
    l2 = _regularised_cholesky("expression", moments.expression, ridge, moments.precision)
    left_whitened = solve_triangular(l1, moments.cross, lower=True)
    u, correlations, vt = np.linalg.svd(
        solve_triangular(l2, left_whitened.T, lower=True).T, full_matrices=False
    )
    image = solve_triangular(l1, u[:, :components], lower=True, trans="T")
    expression = solve_triangular(l2, vt[:components].T, lower=True, trans="T")
    signs = np.sign(image[np.abs(image).argmax(axis=0), np.arange(image.shape[1])])
    return CanonicalCorrelations(correlations[:components], image * signs, expression * signs)


def _regularised_cholesky(
    modality: str, covariance: Float64[np.ndarray, "d d"], ridge: float, precision: float
) -> Float64[np.ndarray, "d d"]:
    """Return the lower Cholesky factor of a covariance plus its ridge.

    Raises
    ------
    DataError
        If no feature varies, or if features are constant or linearly dependent up to rounding.
    """
    variances = np.diag(covariance)
    if not variances.any():
        raise DataError(f"{modality}: none of its {len(covariance)} features varies")
    regularised = covariance + ridge * variances.mean() * np.eye(len(covariance))
    try:
        factor: Float64[np.ndarray, "d d"] = cholesky(regularised, lower=True)
    except LinAlgError:
        factor = np.zeros_like(regularised)
    residual_variances = np.diag(factor) ** 2  # of each feature given the preceding features
    if (residual_variances <= _ROUNDING * precision * variances).any():
        raise DataError(
            f"{modality}: some of its {len(factor)} features are constant or combinations of "
            "others; take a larger ridge"
        )
    return factor
