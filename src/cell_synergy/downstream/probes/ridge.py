"""Ridge regression in closed form from Gram matrices, which are additive over groups of rows."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from cell_synergy.downstream.probes import _linalg
from cell_synergy.downstream.probes._linalg import Array


class RidgeSolution(NamedTuple):
    """Solution of a ridge regression.

    Attributes
    ----------
    coefficients
        One row per column of the design matrix; the last row is the intercept.
    gradient_norm
        Largest absolute entry of the objective's gradient at the solution.
    """

    coefficients: Float64[Array, "columns outputs"]
    gradient_norm: float


def group_grams(
    columns: Float64[Array, "obs columns"], group: Int[np.ndarray, " obs"]
) -> list[Float64[Array, "columns columns"]]:
    """Return the Gram matrix of each group's rows, in the order of the groups' indices.

    Parameters
    ----------
    columns
        The design matrix.
    group
        Index of each row's group, from 0.
    """
    if not group.any():
        return [columns.T @ columns]
    parts = (columns[_linalg.as_index(group == number)] for number in range(group.max() + 1))
    return [part.T @ part for part in parts]


def centred_gram(gram: Float64[Array, "columns columns"]) -> Float64[Array, "columns columns"]:
    """Return the Gram matrix after centring, from that of a design whose last column is ones."""
    total, count = gram[-1:, :-1], gram[-1, -1]
    centred = gram + 0  # a copy, in NumPy and in torch
    centred[:-1, :-1] -= total.T @ total / count
    centred[-1, :-1] = centred[:-1, -1] = 0
    return centred


def solve(
    gram: Float64[Array, "columns columns"],
    products: Float64[Array, "columns outputs"],
    penalties: Sequence[float],
) -> Iterator[RidgeSolution]:
    """Yield the ridge solution for each penalty, in the order of the penalties.

    Parameters
    ----------
    gram
        Gram matrix of the design matrix, whose last column is ones for the intercept; the last
        entry is therefore the number of rows.
    products
        Transposed design matrix times the outputs, one column per output.
    penalties
        L2 penalties: the objective is half the mean squared error plus `penalty / 2` times the
        squared norm of the coefficients without the intercept.
    """
    count = gram[-1, -1]
    right = products / count
    features = _linalg.as_index(np.arange(len(gram) - 1))
    for penalty in penalties:
        matrix = gram / count
        matrix[features, features] += penalty
        coefficients = _linalg.cholesky_solve(matrix, right)
        residual = gram @ coefficients / count - right
        residual[:-1] += penalty * coefficients[:-1]
        norm = float(abs(residual).max()) if len(products.T) else 0.0
        yield RidgeSolution(coefficients, norm)
