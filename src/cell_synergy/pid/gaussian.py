"""Partial information decomposition of the information of X and Y about M, jointly Gaussian.

M is the target, X and Y are the sources; each is one or several variables. All three mutual
informations are differences of log-determinants of the covariance. For one variable M the BROJA
decomposition has a closed form: its redundant information is the smaller of I(M; X) and I(M; Y),
the minimum mutual information (MMI) [1]_.

References
----------
.. [1] Barrett, "Exploration of synergistic and redundant information sharing in static and
   dynamical Gaussian systems", Physical Review E 91, 2015.
"""

import numpy as np
from jaxtyping import Float64, Real

from cell_synergy.core.errors import DataError
from cell_synergy.pid.discrete import Decomposition

_ROUNDING = 1e-12
_LOADING = 0.1  # variables with larger entries in the unit eigenvector are named in the error
_PARTS = 3  # M, X and Y


def mutual_informations(
    covariance: Real[np.ndarray, "n n"], sizes: tuple[int | float, ...]
) -> tuple[float, float, float]:
    """Return I(M; X), I(M; Y) and I(M; X, Y), in bits, of jointly Gaussian variables.

    Parameters
    ----------
    covariance
        Covariance of all variables: first those of M, then those of X, then those of Y.
    sizes
        Numbers of variables of M, X and Y.

    Raises
    ------
    DataError
        If the sizes are not three positive integers that add up to n, or the matrix is not of
        numbers, finite, symmetric and positive definite: a variable that is a linear function of
        others has infinite information about them.
    """
    covariance, (m, x, _) = _validated(covariance, sizes)
    parts = np.s_[:m], np.s_[m : m + x], np.s_[m + x :], np.s_[m:]
    logdet_m, logdet_x, logdet_y, logdet_xy = (_log_det(covariance[part, part]) for part in parts)
    logdet_mx, logdet_my = (_log_det(_without(covariance, part)) for part in (parts[2], parts[1]))
    differences = logdet_x - logdet_mx, logdet_y - logdet_my, logdet_xy - _log_det(covariance)
    first, second, both = (max(0.0, (logdet_m + each) / np.log(4)) for each in differences)
    return first, second, both


def mmi(covariance: Real[np.ndarray, "n n"], sizes: tuple[int | float, ...]) -> Decomposition:
    """Decompose the information of X and Y about M; the redundant part is min(I(M; X), I(M; Y)).

    M is the target; X and Y are the first and second source. If M is one variable, this is the
    BROJA decomposition. All parts are in bits.

    Parameters
    ----------
    covariance
        Covariance of all variables: first those of M, then those of X, then those of Y.
    sizes
        Numbers of variables of M, X and Y.

    Raises
    ------
    DataError
        If the sizes are not three positive integers that add up to n, or the matrix is not of
        numbers, finite, symmetric and positive definite.
    """
    informations = mutual_informations(covariance, sizes)
    return Decomposition.from_union(informations, max(informations[:2]))


def _validated(
    covariance: Real[np.ndarray, "n n"], sizes: tuple[int | float, ...]
) -> tuple[Float64[np.ndarray, "n n"], tuple[int, int, int]]:
    """Return a covariance in double precision and the sizes as integers, after checks of both."""
    try:
        covariance = np.asarray(covariance, dtype=np.float64)
        is_valid = all(size == int(size) and size > 0 for size in sizes) and len(sizes) == _PARTS
    except (TypeError, ValueError) as error:
        raise DataError(f"covariance: not a matrix of numbers ({error})") from error
    if not is_valid or covariance.shape != (int(sum(sizes)),) * 2:
        raise DataError(
            f"covariance of shape {covariance.shape}, sizes {sizes}: give the numbers of variables "
            "of M, X and Y, each at least one, which add up to its rows and columns; of more than "
            "two sources put all but one together"
        )
    if not np.isfinite(covariance).all():
        raise DataError("covariance: an entry is not finite; drop observations with missing values")
    variances = np.diag(covariance)
    smallest = int(variances.argmin())
    if variances[smallest] <= 0:
        raise DataError(
            f"covariance: the variance of variable {smallest} is {variances[smallest]:.3g}, so it "
            "is constant or this is no covariance; drop it"
        )
    scale = np.sqrt(variances)
    correlation = covariance / scale[:, None] / scale
    asymmetric = np.abs(correlation - correlation.T) > _ROUNDING
    if asymmetric.any():
        i, j = np.argwhere(asymmetric)[0]
        raise DataError(f"covariance: not symmetric at [{i}, {j}]; average it with its transpose")
    values, vectors = np.linalg.eigh(correlation)
    if values[0] <= _ROUNDING:
        dependent = np.flatnonzero(np.abs(vectors[:, 0]) > _LOADING).tolist()
        raise DataError(
            f"covariance: variables {dependent} determine one another, or it is no covariance (the "
            f"smallest eigenvalue of their correlations is {values[0]:.3g}); drop one of them, or "
            "estimate it from more observations"
        )
    m, x, y = map(int, sizes)
    return covariance, (m, x, y)


def _without(
    covariance: Float64[np.ndarray, "n n"], part: slice
) -> Float64[np.ndarray, "rest rest"]:
    """Return the covariance of the variables outside `part`."""
    rest = np.delete(np.arange(len(covariance)), part)
    return covariance[np.ix_(rest, rest)]


def _log_det(matrix: Float64[np.ndarray, "n n"]) -> float:
    return float(2 * np.log(np.diag(np.linalg.cholesky(matrix))).sum())
