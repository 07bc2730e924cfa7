"""Arrays of the linear probes in double precision: NumPy's on a processor, torch's on a GPU.

What the two libraries spell alike is written once, for both. On a processor torch computes the same
more slowly: on AMD's, products and eigenvectors of the study's sizes by a fifth to a half, small
arrays by overhead twice.
"""

from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Shaped
from scipy.linalg import cho_factor, cho_solve

from cell_synergy.core.compute import device

Array = Any  # mypy cannot tell the two apart


def library() -> ModuleType:
    """Return the library that computes here."""
    if device().type == "cpu":
        return np
    import torch  # noqa: PLC0415 - only where it computes

    return torch


def of(x: Shaped[np.ndarray, "*shape"]) -> Float64[Array, "*shape"]:
    """Return an array in double precision, a copy."""
    xp = library()
    return xp.asarray(x, dtype=xp.float64, device=device().type, copy=True)


def rows(x: Int[np.ndarray, "*shape"] | Bool[np.ndarray, "*shape"]) -> Shaped[Array, "*shape"]:
    """Return an array that picks rows."""
    return library().asarray(x, device=device().type)


def numpy(x: Float64[Array, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return an array as NumPy's."""
    return np.asarray(x if isinstance(x, np.ndarray) else x.cpu())


def single(x: Float64[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """Return an array in single precision."""
    return x.astype(np.float32) if isinstance(x, np.ndarray) else x.float()


def with_ones(x: Float[Array, "units features"]) -> Float64[Array, "units features+1"]:
    """Return a copy in double precision with a column of ones, the intercept's."""
    xp = library()
    units = xp.ones((len(x), x.shape[1] + 1), dtype=xp.float64, device=device().type)
    units[:, :-1] = xp.asarray(x)
    return units


def cholesky_solve(
    matrix: Float64[Array, "k k"], right: Float64[Array, "k outputs"]
) -> Float64[Array, "k outputs"]:
    """Solve for a positive definite matrix, which is overwritten."""
    if isinstance(matrix, np.ndarray):
        factor = cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False)
        return np.asarray(cho_solve(factor, right, check_finite=False))
    xp = library()
    return xp.cholesky_solve(right, xp.linalg.cholesky(matrix))
