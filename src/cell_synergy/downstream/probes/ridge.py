"""Ridge regression in closed form from sums over units, which are additive over groups of units."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from cell_synergy.downstream.probes import _linalg
from cell_synergy.downstream.probes._linalg import Array


class Solution(NamedTuple):
    """Coefficients of ridge regression.

    Attributes
    ----------
    v
        One row per column of the units; the last is the intercept.
    norm
        Largest absolute entry of the gradient there.
    """

    v: Float64[Array, "columns outputs"]
    norm: float


def grams(
    columns: Float64[Array, "obs columns"], group: Int[np.ndarray, " obs"]
) -> list[Float64[Array, "columns columns"]]:
    """Return the Gram matrix of each group's units; groups are numbered from 0."""
    if not group.any():
        return [columns.T @ columns]
    parts = (columns[_linalg.rows(group == number)] for number in range(group.max() + 1))
    return [part.T @ part for part in parts]


def about_mean(squares: Float64[Array, "columns columns"]) -> Float64[Array, "columns columns"]:
    """Return a Gram matrix about the units' own mean; the last column is all ones."""
    total, count = squares[-1:, :-1], squares[-1, -1]
    moved = squares + 0
    moved[:-1, :-1] -= total.T @ total / count
    moved[-1, :-1] = moved[:-1, -1] = 0
    return moved


def solve(
    squares: Float64[Array, "columns columns"],
    products: Float64[Array, "columns outputs"],
    strengths: Sequence[float],
) -> Iterator[Solution]:
    """Yield the optimum of each strength; the last column is the intercept's, all ones.

    Parameters
    ----------
    squares
        Gram matrix of the units' columns; its last entry is the number of units.
    products
        Columns of the units times the outputs.
    strengths
        Penalties per unit.
    """
    count = squares[-1, -1]
    right = products / count
    features = _linalg.rows(np.arange(len(squares) - 1))
    for strength in strengths:
        matrix = squares / count
        matrix[features, features] += strength
        v = _linalg.cholesky_solve(matrix, right)
        rest = squares @ v / count - right
        rest[:-1] += strength * v[:-1]
        yield Solution(v, float(abs(rest).max()) if len(products.T) else 0.0)
