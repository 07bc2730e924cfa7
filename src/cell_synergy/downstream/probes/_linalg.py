"""Arrays of the linear probes in double precision: NumPy's on a processor, torch's on a GPU.

What the two libraries spell alike is written once, for both. On a processor torch computes the same
more slowly: on AMD's, products and eigenvectors of the study's sizes by a fifth to a half, small
arrays by overhead twice.
"""

from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Shaped
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dposv

from cell_synergy.core.device import device

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


def with_ones(
    x: Float[Array, "obs features"], *others: Float[Array, "obs _"]
) -> Float64[Array, "obs columns"]:
    """Return columns, ones for the intercept, and other columns, copied in double precision."""
    xp, start = library(), x.shape[1] + 1
    width = start + sum(y.shape[1] for y in others)
    units = xp.ones((len(x), width), dtype=xp.float64, device=device().type)
    units[:, : start - 1] = xp.asarray(x)
    for y in others:
        units[:, start : start + y.shape[1]] = xp.asarray(y)
        start += y.shape[1]
    return units


def gram(blocks: Iterable[Float64[Array, "_ columns"]]) -> Float64[Array, "columns columns"]:
    """Return the sum over blocks of rows of `block' block`."""
    total: Array = None
    for block in blocks:
        if total is None:
            total = block.T @ block
        elif isinstance(block, np.ndarray):  # half of it, and nothing else in memory
            total = dsyrk(1.0, block.T, beta=1.0, c=total.T, lower=True, overwrite_c=True).T
        else:
            total.addmm_(block.T, block)
    if isinstance(total, np.ndarray):
        for row in range(len(total)):
            total[row + 1 :, row] = total[row, row + 1 :]
    return total


def cholesky_solve(
    matrix: Float64[Array, "k k"], right: Float64[Array, "k outputs"]
) -> Float64[Array, "k outputs"]:
    """Solve for a positive definite matrix, which is overwritten."""
    if not isinstance(matrix, np.ndarray):
        xp = library()
        return xp.cholesky_solve(right, xp.linalg.cholesky(matrix))
    _, solution, failed = dposv(matrix.T, right, lower=True, overwrite_a=True)
    if failed:
        raise np.linalg.LinAlgError("the matrix is not positive definite")
    return solution
