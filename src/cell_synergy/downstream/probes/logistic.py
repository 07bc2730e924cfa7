"""Multinomial logistic regression by Newton's method, preconditioned with the Gram matrix.

Each Newton step is solved by preconditioned conjugate gradients (Nocedal & Wright 2006, ch. 7.1)
with an accuracy that follows the norm of the gradient. Only the step's direction is computed in
single precision; objective and gradient, and therefore the optimum, are in double precision.

The Hessian is the mean over rows of `W (x) x x'` plus the penalty, where `W = diag(p) - p p'` acts
on the classes and `x x'` on the features. Its preconditioner replaces the mean of the product by
the product of the means: `mean(W) (x) mean(x x') + penalty`, which is diagonal in the eigenvectors
of both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from cell_synergy.downstream.probes import _linalg
from cell_synergy.downstream.probes._linalg import Array

_DAMPING = 1e-6  # share of the preconditioner that is added to the Hessian; above float32 rounding
_BLOCK = 2**21  # entries of the design matrix that fit into a processor's cache


@dataclass(frozen=True)
class RotatedDesign:
    """Training rows, and a rotation after which their covariance is nearly diagonal.

    Attributes
    ----------
    columns
        Centred coordinates, and a last column of ones for the intercept.
    rotation
        Orthonormal axes, one per column; None if `columns` are coordinates along them already.
    variance
        Mean square along each axis.
    """

    columns: Float64[Array, "obs columns"]
    rotation: Float64[Array, "columns columns"] | None
    variance: Float64[Array, " columns"]

    @cached_property
    def blocks(self) -> list[Float64[Array, "block columns"]]:
        """Blocks of rows that fit into a processor's cache, where two products read each block."""
        count, columns = self.columns.shape
        size = max(_BLOCK // columns, 1) if isinstance(self.columns, np.ndarray) else count
        return [self.columns[start : start + size] for start in range(0, count, size)]

    @cached_property
    def blocks32(self) -> list[Float32[Array, "block columns"]]:
        """The blocks in single precision."""
        return [_linalg.as_float32(block) for block in self.blocks]

    @cached_property
    def rotation32(self) -> Float32[Array, "columns columns"] | None:
        """The rotation in single precision."""
        return None if self.rotation is None else _linalg.as_float32(self.rotation)


class Optimum(NamedTuple):
    """Result of one fit.

    Attributes
    ----------
    coefficients
        Coefficients of the design's columns, one row per class.
    gradient_norm
        Largest absolute entry of the preconditioned gradient.
    steps
        Total number of conjugate-gradient steps.
    """

    coefficients: Float64[Array, "classes columns"]
    gradient_norm: float
    steps: int


def path(
    design: RotatedDesign,
    onehot: Float64[Array, "classes obs"],
    penalties: Sequence[float],
    tolerance: float,
    iterations: int,
) -> Iterator[Optimum]:
    """Yield the optimum for each penalty, in the order of the penalties.

    Solutions for penalties that are evenly spaced on a log scale lie nearly on a line, so each fit
    starts at the linear extrapolation of the two before it. The objective is convex: the start does
    not change the optimum.

    Parameters
    ----------
    design
        Training rows.
    onehot
        1 for the class of each row and 0 for other classes.
    penalties
        L2 penalties: the objective is the mean cross entropy (nats) plus `penalty / 2` times the
        squared norm of the coefficients without the intercept.
    tolerance
        Largest absolute entry of the preconditioned gradient at which a fit stops.
    iterations
        Maximal number of conjugate-gradient steps of one fit.
    """
    objective = _Objective(design, onehot @ design.columns)
    previous, start = None, objective.class_sums * 0
    start[:, -1] = (objective.class_sums[:, -1] / objective.count).clip(1 / (2 * objective.count))
    start[:, -1] = _linalg.array_module().log(start[:, -1])
    for penalty in penalties:
        objective.penalty[:-1] = penalty
        optimum, steps = objective.minimise(objective.at(start), tolerance, iterations)
        start = optimum.v if previous is None else 2 * optimum.v - previous
        previous = optimum.v
        yield Optimum(_rotate_back(optimum.v, design.rotation), optimum.norm, steps)


@dataclass(frozen=True)
class _Point:
    """The logistic objective at one vector of coefficients.

    Attributes
    ----------
    v
        Coefficients along the axes, with the intercept last.
    value
        Value of the objective.
    probabilities
        Probability of each class for the rows of each block.
    classes, root
        Coefficients are `classes @ (root * w)` in whitened coordinates `w`, in which the
        preconditioner is the identity.
    gradient
        Gradient of the objective in whitened coordinates.
    """

    v: Float64[Array, "classes columns"]
    value: float
    probabilities: list[Float32[Array, "classes _"]]
    classes: Float64[Array, "classes classes"]
    root: Float64[Array, "classes columns"]
    gradient: Float64[Array, "classes columns"]

    @cached_property
    def norm(self) -> float:
        """The largest absolute entry of the gradient."""
        return float(abs(self.gradient).max())

    def unwhiten(self, w: Float64[Array, "classes columns"]) -> Float64[Array, "classes columns"]:
        """Return coefficients from whitened coordinates."""
        return self.classes @ (self.root * w)


class _Objective:
    """The penalised logistic objective of a design, and Newton's method that minimises it.

    Attributes
    ----------
    design
        Training rows.
    class_sums
        Sum of the columns over the rows of each class.
    penalty
        L2 penalty of each column; 0 for the intercept.
    """

    def __init__(
        self, design: RotatedDesign, class_sums: Float64[Array, "classes columns"]
    ) -> None:
        self.design, self.class_sums, self.count = design, class_sums, len(design.columns)
        self.penalty = design.variance * 0

    def at(self, v: Float64[Array, "classes columns"]) -> _Point:
        """Evaluate objective, gradient and preconditioner at coefficients `v` along the axes.

        The gradient without the penalty is the sum over rows of `(p - onehot) x'`, and the logits
        of the rows' true classes sum to `v . class_sums`. The columns end with ones, so that the
        last column of the sum of `p x'` is the sum of `p`.
        """
        xp, coefficients = _linalg.array_module(), _rotate_back(v, self.design.rotation)
        loss, probabilities = -_dot(coefficients, self.class_sums), []
        p_x: Array = 0
        p_p: Array = 0
        for x in self.design.blocks:
            p = coefficients @ x.T
            largest = xp.amax(p, axis=0)
            p -= largest
            total = xp.exp(p, out=p).sum(axis=0)
            p /= total
            loss += float((xp.log(total) + largest).sum())
            p32 = _linalg.as_float32(p)
            probabilities.append(p32)
            p_x = p_x + p @ x
            p_p = p_p + p32 @ p32.T
        classes, root = self._whitening(xp.diag(p_x[:, -1]) - p_p)
        slope = v * self.penalty
        value = loss / self.count + _dot(slope, v) / 2
        slope += _rotate(p_x - self.class_sums, self.design.rotation) / self.count
        return _Point(v, value, probabilities, classes, root, root * (classes.T @ slope))

    def _whitening(
        self, weight: Float64[Array, "classes classes"]
    ) -> tuple[Float64[Array, "classes classes"], Float64[Array, "classes columns"]]:
        """Return eigenvectors of the class weights, and 1 / sqrt of the preconditioner's diagonal.

        Adding one number to the logits of all classes changes no probability: along this axis the
        weight and every gradient are zero up to rounding. Eigenvalues are therefore at least that
        of half a row, 1 / (2 n).
        """
        xp = _linalg.array_module()
        eigenvalues, classes = xp.linalg.eigh(weight / self.count)
        eigenvalues = eigenvalues.clip(1 / (2 * self.count))
        diagonal = eigenvalues[:, None] * self.design.variance + self.penalty
        return classes, 1 / xp.sqrt(diagonal)

    def minimise(self, point: _Point, tolerance: float, iterations: int) -> tuple[_Point, int]:
        """Run Newton's method from a point.

        Newton's method ends at a gradient norm of `tolerance`, after `iterations`
        conjugate-gradient steps, or where the line search finds no descent above rounding.

        Returns
        -------
        :
            The last point and the total number of conjugate-gradient steps.
        """
        total = 0
        while point.norm > tolerance and total < iterations:
            step, steps = self._direction(point, tolerance, iterations - total)
            total += steps
            new = self._line_search(point, step)
            if new is None:
                break
            point = new
        return point, total

    def _direction(
        self, point: _Point, tolerance: float, max_steps: int
    ) -> tuple[Float64[Array, "classes columns"], int]:
        """Return an approximate Newton step in whitened coordinates and its number of CG steps."""
        accuracy = max(0.5 * min(1.0, point.norm**0.5) * point.norm, tolerance / 2)
        step, residual, steps = point.v * 0, -point.gradient, 0
        direction, energy = residual, _dot(residual, residual)
        while steps < max_steps and float(abs(residual).max()) > accuracy:
            curvature = self._hessian_product(point, direction)
            length = energy / _dot(direction, curvature)
            step += length * direction
            residual = residual - length * curvature
            previous, energy = energy, _dot(residual, residual)
            direction = residual + energy / previous * direction
            steps += 1
        return step, steps

    def _hessian_product(
        self, point: _Point, whitened: Float64[Array, "classes columns"]
    ) -> Float64[Array, "classes columns"]:
        """Return the Hessian at a point times a direction, both in whitened coordinates."""
        direction, product = point.unwhiten(whitened), 0
        direction32 = _rotate_back(_linalg.as_float32(direction), self.design.rotation32)
        for x, p in zip(self.design.blocks32, point.probabilities, strict=True):
            change = direction32 @ x.T
            change *= p
            change -= p * change.sum(axis=0)
            product = product + change @ x
        direction *= self.penalty
        direction += _rotate(product, self.design.rotation32) / self.count
        return point.root * (point.classes.T @ direction) + _DAMPING * whitened

    def _line_search(self, point: _Point, step: Float64[Array, "classes columns"]) -> _Point | None:
        """Halve a step until the objective falls enough (Armijo); None if it never does."""
        slope, rounding = _dot(point.gradient, step), 1e-14 * (1 + abs(point.value))
        full_step, length = point.unwhiten(step), 1.0
        while length > 1e-6:  # noqa: PLR2004 - a Newton step of a convex loss is never so wrong
            new = self.at(point.v + length * full_step)
            if new.value <= point.value + 1e-4 * length * slope + rounding:
                return new
            length /= 2
        return None


def _dot(a: Float64[Array, "classes columns"], b: Float64[Array, "classes columns"]) -> float:
    """Return the inner product of two matrices."""
    return float(a.ravel() @ b.ravel())


def _rotate(x: Array, rotation: Array | None) -> Array:
    """Return rows along the axes from rows along the columns."""
    return x if rotation is None else x @ rotation


def _rotate_back(x: Array, rotation: Array | None) -> Array:
    """Return rows along the columns from rows along the axes."""
    return x if rotation is None else x @ rotation.T
