"""Linear algebra of the linear probes in double precision: NumPy on a CPU, torch on a GPU.

Functions with one name in both libraries are called through `array_module`. On a CPU, torch is
slower: by a fifth to a half for products and eigenvectors of the study's sizes on AMD processors,
and by a factor of two for small arrays, because of overhead.
"""

from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Shaped
from scipy.linalg.lapack import dposv

from cell_synergy.core.device import device

Array = Any  # a NumPy array or a torch tensor: mypy cannot tell the two apart


def array_module() -> ModuleType:
    """Return the library that computes on the current device: `numpy` or `torch`."""
    if device().type == "cpu":
        return np
    import torch  # noqa: PLC0415 - only where it computes

    return torch


def as_float64(x: Shaped[np.ndarray, "*shape"]) -> Float64[Array, "*shape"]:
    """Copy a NumPy array to the device in double precision."""
    xp = array_module()
    return xp.asarray(x, dtype=xp.float64, device=device().type, copy=True)


def as_index(x: Int[np.ndarray, "*shape"] | Bool[np.ndarray, "*shape"]) -> Shaped[Array, "*shape"]:
    """Copy an index array or a mask to the device."""
    return array_module().asarray(x, device=device().type)


def to_numpy(x: Float64[Array, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return a NumPy array with the values of an array on the device."""
    return np.asarray(x if isinstance(x, np.ndarray) else x.cpu())


def as_float32(x: Float64[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """Return an array in single precision."""
    return x.astype(np.float32) if isinstance(x, np.ndarray) else x.float()


def with_intercept(x: Float[Array, "obs features"]) -> Float64[Array, "obs columns"]:
    """Return a copy of features in double precision with a last column of ones."""
    xp, width = array_module(), x.shape[1]
    columns = xp.ones((len(x), width + 1), dtype=xp.float64, device=device().type)
    columns[:, :width] = xp.asarray(x)
    return columns


def cholesky_solve(
    matrix: Float64[Array, "k k"], right: Float64[Array, "k outputs"]
) -> Float64[Array, "k outputs"]:
    """Solve a linear system with a positive definite matrix by Cholesky decomposition.

    Parameters
    ----------
    matrix
        The positive definite matrix; it may be overwritten.
    right
        Right-hand sides, one per column. The result has the solutions in the same order.

    Raises
    ------
    LinAlgError
        If the matrix is not positive definite.
    """
    if not isinstance(matrix, np.ndarray):
        xp = array_module()
        return xp.cholesky_solve(right, xp.linalg.cholesky(matrix))
    _, solution, failed = dposv(matrix.T, right, lower=True, overwrite_a=True)
    if failed:
        raise np.linalg.LinAlgError("the matrix is not positive definite")
    return solution
