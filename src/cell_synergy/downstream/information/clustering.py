"""Cells of units with similar posteriors, and the table of cells and classes that they stand for.

References
----------
Dhillon, Mallela and Kumar, "A divisive information-theoretic feature clustering algorithm for text
classification", Journal of Machine Learning Research 3, 2003.
"""

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import brentq
from scipy.special import entr, softmax

from cell_synergy.pid.discrete import mutual_information

_TINY = 1e-200  # a probability that is 0, but for its logarithm
_STEEPEST = 16.0  # power at which every cell is as good as certain
_BALANCES = 30  # alternate scalings of a table's rows and columns
_ALIKE = 1e-9  # nats lost by a cell whose units have the same posterior, but for rounding
_PASSES = 20  # over the units, after a cell is split


def holding(
    bits: float, masses: Float64[np.ndarray, "_ _"], shares: Float64[np.ndarray, " _"]
) -> Float64[np.ndarray, "_ _"]:
    """Return the table of cells and classes, sharpened or blurred to hold so many bits.

    The probabilities of classes in a cell are raised to one power; then rows and columns are scaled
    in turns, so that cells keep their mass and classes have their `shares`. Of all such tables
    those are the nearest to independence for their bits, which grow with the power.
    """
    rows = masses.sum(axis=1, keepdims=True)
    logits = np.log(np.maximum(masses / rows, _TINY))

    def powered(slope: float) -> Float64[np.ndarray, "_ _"]:
        table = np.maximum(softmax(slope * logits, axis=1), _TINY)
        for _ in range(_BALANCES):
            table *= rows / table.sum(axis=1, keepdims=True)
            table *= shares / table.sum(axis=0)
        return np.asarray(table / table.sum())

    def surplus(slope: float) -> float:
        return mutual_information(powered(slope)) - bits

    if surplus(0.0) >= 0:
        return powered(0.0)
    steepest = 1.0
    while surplus(steepest) < 0:
        if steepest > _STEEPEST:
            return powered(steepest)
        steepest *= 2
    return powered(brentq(surplus, 0, steepest))


def gathered(
    p: Float64[np.ndarray, "obs classes"], weights: Float64[np.ndarray, " obs"], cells: int
) -> Int64[np.ndarray, " obs"]:
    """Return the cell of each unit, so that little information is lost; nothing is random.

    The cell that loses most is split across the widest axis of its root probabilities; then units
    move to the cell whose posterior is nearest in Kullback-Leibler divergence, in a few passes.
    """
    cell = np.zeros(len(p), dtype=np.int64)
    for count in range(1, cells):
        distance = -entr(p).sum(axis=1) - (p * _centres(p, weights, cell)[cell]).sum(axis=1)
        lost = np.bincount(cell, weights * distance)
        if lost.max() <= _ALIKE:
            break
        own = np.flatnonzero(cell == lost.argmax())
        away = np.sqrt(p[own])
        away -= np.average(away, axis=0, weights=weights[own])
        axis = np.linalg.eigh((away.T * weights[own]) @ away)[1][:, -1]
        cell[own[away @ axis > 0]] = count
        for _ in range(_PASSES):
            nearest = (p @ _centres(p, weights, cell).T).argmax(axis=1)
            before, cell = cell, np.unique(nearest, return_inverse=True)[1]
            if np.array_equal(before, cell):
                break
        if cell.max() < count:
            break
    return cell


def _centres(
    p: Float64[np.ndarray, "obs classes"],
    weights: Float64[np.ndarray, " obs"],
    cell: Int64[np.ndarray, " obs"],
) -> Float64[np.ndarray, "_ classes"]:
    """Return the log of each cell's mean posterior."""
    masses = (np.eye(cell.max() + 1)[cell] * weights[:, None]).T @ p
    return np.asarray(np.log(masses / masses.sum(axis=1, keepdims=True)))
