"""Multinomial logistic regression by Newton's method, preconditioned with the Gram matrix.

Each Newton step is solved by preconditioned conjugate gradients (Nocedal & Wright 2006, ch. 7.1),
no more accurately than the gradient is small. Only this direction is computed in single precision;
the objective, its gradient and so the optimum are in double.

The Hessian is the mean over units of `W x x'`, where `W = diag(p) - p p'` stands for the classes
and `x x'` for the features, plus the penalty. Its preconditioner takes the two means one by one:
`mean(W) (x) mean(x x') + penalty`, which is diagonal in the eigenvectors of both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from cell_synergy.downstream.probes import _linalg
from cell_synergy.downstream.probes._linalg import Array

_DAMPING = 1e-6  # times the preconditioner, added to the Hessian: above the rounding of float32
_BLOCK = 2**21  # entries of the units that a processor's cache holds


@dataclass(frozen=True)
class Units:
    """Training units, and axes in which their covariance is nearly diagonal.

    Attributes
    ----------
    columns
        Centred coordinates, and a last column of ones for the intercept.
    turn
        Orthonormal axes of the columns, one in each of its own; None if the columns are along them.
    variance
        Mean square along each axis.
    """

    columns: Float64[Array, "obs columns"]
    turn: Float64[Array, "columns columns"] | None
    variance: Float64[Array, " columns"]

    @cached_property
    def blocks(self) -> list[Float64[Array, "block columns"]]:
        """Units to be read at a time: both products with them find them in the cache."""
        count, columns = self.columns.shape
        size = max(_BLOCK // columns, 1) if isinstance(self.columns, np.ndarray) else count
        return [self.columns[start : start + size] for start in range(0, count, size)]

    @cached_property
    def half(self) -> list[Float32[Array, "block columns"]]:
        """The blocks in single precision: half the bytes to read."""
        return [_linalg.single(block) for block in self.blocks]

    @cached_property
    def half_turn(self) -> Float32[Array, "columns columns"] | None:
        """The axes in single precision."""
        return None if self.turn is None else _linalg.single(self.turn)


class Optimum(NamedTuple):
    """Where a fit ended.

    Attributes
    ----------
    v
        Coefficients along the columns of the units.
    norm
        Largest entry of the preconditioned gradient.
    steps
        Conjugate-gradient steps in all.
    """

    v: Float64[Array, "classes columns"]
    norm: float
    steps: int


def path(
    units: Units,
    onehot: Float64[Array, "classes obs"],
    strengths: Sequence[float],
    tolerance: float,
    iterations: int,
) -> Iterator[Optimum]:
    """Yield the optimum of each strength.

    Solutions of evenly spaced log strengths lie nearly on a line, so each fit starts where the two
    before it point to. The objective is convex: the start does not change the optimum.

    Parameters
    ----------
    units
        Training units.
    onehot
        1 for the class of each unit, 0 for the others.
    strengths
        Penalties per unit.
    tolerance
        On the largest entry of the preconditioned gradient.
    iterations
        Most conjugate-gradient steps of one fit.
    """
    fit = _Logistic(units, onehot @ units.columns)
    before, at = None, fit.target * 0
    at[:, -1] = (fit.target[:, -1] / fit.count).clip(1 / (2 * fit.count))
    at[:, -1] = _linalg.library().log(at[:, -1])
    for strength in strengths:
        fit.penalty[:-1] = strength
        end, used = fit.minimise(fit.at(at), tolerance, iterations)
        at = end.v if before is None else 2 * end.v - before
        before = end.v
        yield Optimum(_turned_back(end.v, units.turn), end.norm, used)


@dataclass(frozen=True)
class _Point:
    """The logistic objective at one place.

    Attributes
    ----------
    v
        Coefficients along the axes, and the intercept.
    value
        Of the objective.
    shares
        Probability of each class for each unit of each block.
    classes, root
        Coefficients `classes @ (root * w)` are white: in `w` the preconditioner is 1.
    gradient
        Of the objective, in white coordinates.
    """

    v: Float64[Array, "classes columns"]
    value: float
    shares: list[Float32[Array, "classes _"]]
    classes: Float64[Array, "classes classes"]
    root: Float64[Array, "classes columns"]
    gradient: Float64[Array, "classes columns"]

    @cached_property
    def norm(self) -> float:
        """The largest entry of the gradient."""
        return float(abs(self.gradient).max())

    def coloured(self, w: Float64[Array, "classes columns"]) -> Float64[Array, "classes columns"]:
        """Return coefficients from white coordinates."""
        return self.classes @ (self.root * w)


class _Logistic:
    """The logistic objective, and Newton's method for it.

    Attributes
    ----------
    units
        Training units.
    target
        Sum of the columns over the units of each class.
    penalty
        Of each column.
    """

    def __init__(self, units: Units, target: Float64[Array, "classes columns"]) -> None:
        self.units, self.target, self.count = units, target, len(units.columns)
        self.penalty = units.variance * 0

    def at(self, v: Float64[Array, "classes columns"]) -> _Point:
        """Return the objective at `v`.

        The gradient's first part is the sum over units of `(p - onehot) x'`, and the logits of the
        units' own classes have the sum `v . target`. Columns end with ones, so that the last sum of
        `p x'` is that of `p`.
        """
        xp, along = _linalg.library(), _turned_back(v, self.units.turn)
        loss, shares = -_dot(along, self.target), []
        pull: Array = 0
        square: Array = 0
        for x in self.units.blocks:
            p = along @ x.T
            most = xp.amax(p, axis=0)
            p -= most
            total = xp.exp(p, out=p).sum(axis=0)
            p /= total
            loss += float((xp.log(total) + most).sum())
            half = _linalg.single(p)
            shares.append(half)
            pull = pull + p @ x
            square = square + half @ half.T
        classes, root = self._whitening(xp.diag(pull[:, -1]) - square)
        slope = v * self.penalty
        value = loss / self.count + _dot(slope, v) / 2
        slope += _turned(pull - self.target, self.units.turn) / self.count
        return _Point(v, value, shares, classes, root, root * (classes.T @ slope))

    def _whitening(
        self, weight: Float64[Array, "classes classes"]
    ) -> tuple[Float64[Array, "classes classes"], Float64[Array, "classes columns"]]:
        """Return axes of the classes, and the inverse root of the Hessian's diagonal there.

        Logits that are the same for all classes change nothing: along one axis the weight is zero
        but for rounding, and so is every gradient. No weight is less than half a unit's.
        """
        xp = _linalg.library()
        own, classes = xp.linalg.eigh(weight / self.count)
        own = own.clip(1 / (2 * self.count))
        return classes, 1 / xp.sqrt(own[:, None] * self.units.variance + self.penalty)

    def minimise(self, point: _Point, tolerance: float, iterations: int) -> tuple[_Point, int]:
        """Return where Newton's method ends, and its conjugate-gradient steps in all.

        It ends at a gradient norm of `tolerance`, after `iterations` such steps, or where rounding
        hides any descent.
        """
        used = 0
        while point.norm > tolerance and used < iterations:
            step, steps = self._direction(point, tolerance, iterations - used)
            used += steps
            new = self._search(point, step)
            if new is None:
                break
            point = new
        return point, used

    def _direction(
        self, point: _Point, tolerance: float, most: int
    ) -> tuple[Float64[Array, "classes columns"], int]:
        """Return an approximate Newton step, white, and the conjugate-gradient steps it took."""
        accuracy = max(0.5 * min(1.0, point.norm**0.5) * point.norm, tolerance / 2)
        step, rest, steps = point.v * 0, -point.gradient, 0
        along, energy = rest, _dot(rest, rest)
        while steps < most and float(abs(rest).max()) > accuracy:
            curved = self._curvature(point, along)
            length = energy / _dot(along, curved)
            step += length * along
            rest = rest - length * curved
            before, energy = energy, _dot(rest, rest)
            along = rest + energy / before * along
            steps += 1
        return step, steps

    def _curvature(
        self, point: _Point, white: Float64[Array, "classes columns"]
    ) -> Float64[Array, "classes columns"]:
        """Return the Hessian at a point times a direction, both white."""
        along, pull = point.coloured(white), 0
        half = _turned_back(_linalg.single(along), self.units.half_turn)
        for x, shares in zip(self.units.half, point.shares, strict=True):
            change = half @ x.T
            change *= shares
            change -= shares * change.sum(axis=0)
            pull = pull + change @ x
        along *= self.penalty
        along += _turned(pull, self.units.half_turn) / self.count
        return point.root * (point.classes.T @ along) + _DAMPING * white

    def _search(self, point: _Point, step: Float64[Array, "classes columns"]) -> _Point | None:
        """Return the first point that is low enough on the way back from a whole step, or None."""
        slope, rounding = _dot(point.gradient, step), 1e-14 * (1 + abs(point.value))
        whole, length = point.coloured(step), 1.0
        while length > 1e-6:  # noqa: PLR2004 - a Newton step of a convex loss is never so wrong
            new = self.at(point.v + length * whole)
            if new.value <= point.value + 1e-4 * length * slope + rounding:
                return new
            length /= 2
        return None


def _dot(a: Float64[Array, "classes columns"], b: Float64[Array, "classes columns"]) -> float:
    """Return the inner product."""
    return float(a.ravel() @ b.ravel())


def _turned(x: Array, turn: Array | None) -> Array:
    """Return rows in axes instead of columns."""
    return x if turn is None else x @ turn


def _turned_back(x: Array, turn: Array | None) -> Array:
    """Return rows in columns instead of axes."""
    return x if turn is None else x @ turn.T
