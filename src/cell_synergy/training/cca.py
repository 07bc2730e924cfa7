"""Canonical correlation analysis in closed form, from the covariances of two sets of features.

Hotelling 1936, "Relations between two sets of variates". With Cholesky factors `C11 = L1 L1'` and
`C22 = L2 L2'`, the singular value decomposition `L1^-1 C12 L2^-T = U S V'` gives the canonical
correlations `S` and the directions `L1^-T U` and `L2^-T V`. Each covariance may get a ridge
(Vinod 1976), without which fewer units than features have no solution.

The cost is that of one Gram matrix. Units are read once, in blocks: products in the precision of
the embeddings, sums of blocks in float64. With float32 embeddings the correlations are off by
about 1e-7, by 1e-5 where a covariance has condition 1e6 and no ridge; with float64 by 1e-13.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from cell_synergy.core.errors import DataError

BLOCK = 2048  # units per block
ROUNDING = 16  # a variance of so many units of rounding is none


@dataclass(frozen=True)
class Covariances:
    """Second moments about the mean, over `units` units.

    Attributes
    ----------
    units
        How many units were averaged over.
    precision
        Relative rounding error of the entries.
    image, expression
        Covariance of each modality's features.
    cross
        Covariance of image features with expression features.
    """

    units: int
    precision: float
    image: Float64[np.ndarray, "d1 d1"]
    cross: Float64[np.ndarray, "d1 d2"]
    expression: Float64[np.ndarray, "d2 d2"]


@dataclass(frozen=True)
class Canonical:
    """Canonical correlations, descending, and the directions that have them.

    Attributes
    ----------
    correlations
        Singular values of the whitened cross-covariance; with a ridge they are smaller than the
        correlations of the projections.
    image, expression
        One direction per column. Without a ridge the projections of the units have variance 1.
        The largest entry of each image direction is positive.
    """

    correlations: Float64[np.ndarray, " k"]
    image: Float64[np.ndarray, "d1 k"]
    expression: Float64[np.ndarray, "d2 k"]


def covariances(
    image: Float[np.ndarray, "obs d1"], expression: Float[np.ndarray, "obs d2"]
) -> Covariances:
    """Return the covariances of two embeddings of the same units."""
    units, d1 = image.shape
    dtype = np.result_type(image, expression)
    sides = [(x, x.mean(axis=0, dtype=np.float64).astype(dtype)) for x in (image, expression)]
    gram = np.zeros((d1 + expression.shape[1],) * 2)
    for start in range(0, units, BLOCK):
        block = np.concatenate([x[start : start + BLOCK] - mean for x, mean in sides], axis=1)
        gram += block.T @ block
    gram /= units
    precision = float(np.finfo(dtype).eps)
    return Covariances(units, precision, gram[:d1, :d1], gram[:d1, d1:], gram[d1:, d1:])


def solve(moments: Covariances, ridge: float, components: int | None = None) -> Canonical:
    """Return the leading canonical correlations and directions.

    Parameters
    ----------
    moments
        Covariances of the units to learn from.
    ridge
        Added to each modality's variances, as a share of their mean.
    components
        How many; as many as the smaller modality has features if None.

    Raises
    ------
    DataError
        If none of a modality's features varies, or the ridge is too small where features are
        constant, depend on each other or outnumber the units: nothing determines the directions.
    """
    d1, d2 = moments.cross.shape
    if not ridge and moments.units <= d1 + d2:
        raise DataError(
            f"{moments.units} units of {d1} + {d2} features: some combinations correlate fully "
            "whatever the data are; take more units or a ridge above 0"
        )
    l1 = _factor("image", moments.image, ridge, moments.precision)
    l2 = _factor("expression", moments.expression, ridge, moments.precision)
    half = solve_triangular(l1, moments.cross, lower=True)
    u, correlations, vt = np.linalg.svd(
        solve_triangular(l2, half.T, lower=True).T, full_matrices=False
    )
    first = solve_triangular(l1, u[:, :components], lower=True, trans="T")
    second = solve_triangular(l2, vt[:components].T, lower=True, trans="T")
    signs = np.sign(first[np.abs(first).argmax(axis=0), np.arange(first.shape[1])])
    return Canonical(correlations[:components], first * signs, second * signs)


def _factor(
    modality: str, covariance: Float64[np.ndarray, "d d"], ridge: float, precision: float
) -> Float64[np.ndarray, "d d"]:
    """Return the lower Cholesky factor of a covariance with its ridge."""
    variances = np.diag(covariance)
    if not variances.any():
        raise DataError(f"{modality}: none of its {len(covariance)} features varies")
    widened = covariance + ridge * variances.mean() * np.eye(len(covariance))
    try:
        factor: Float64[np.ndarray, "d d"] = cholesky(widened, lower=True)
    except LinAlgError:
        factor = np.zeros_like(widened)
    own = np.diag(factor) ** 2  # what the features before it leave of each feature's variance
    if (own <= ROUNDING * precision * variances).any():
        raise DataError(
            f"{modality}: some of its {len(factor)} features are constant or combinations of "
            "others; take a larger ridge"
        )
    return factor
