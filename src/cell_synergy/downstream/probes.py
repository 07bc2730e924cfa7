"""Linear probes: multinomial logistic regression and ridge regression, solved exactly.

Inputs are standardised features. The strength of the penalty is per training unit: the objective is
the mean loss plus `strength / 2` times the squared norm of the coefficients (not of the intercept).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int
from scipy.linalg import cho_factor, cho_solve

_ROUNDING = 1e-10  # share of the largest variance below which a direction is rounding
_DAMPING = 1e-6  # share of its diagonal added to the Hessian: above single precision's rounding


@dataclass(frozen=True)
class Linear:
    """A fitted linear map and how well its optimum was reached.

    Attributes
    ----------
    coefficients, intercept
        Scores are `x @ coefficients + intercept`.
    gradient_norm
        Largest absolute entry of the objective's gradient at the solution, along the axes of the
        design; preconditioned for a logistic probe.
    iterations
        Conjugate-gradient steps, each of which reads the data once; 0 for a closed form.
    """

    coefficients: Float64[np.ndarray, "d outputs"]
    intercept: Float64[np.ndarray, " outputs"]
    gradient_norm: float
    iterations: int

    def scores(self, x: Float[np.ndarray, "units d"]) -> Float64[np.ndarray, "units outputs"]:
        """Return predictions of a ridge probe, logits of a logistic one."""
        return np.asarray(x @ self.coefficients + self.intercept)

    def probabilities(
        self, x: Float[np.ndarray, "units d"]
    ) -> Float64[np.ndarray, "units outputs"]:
        """Return the class probabilities of a logistic probe."""
        return _softmax(self.scores(x).T)[0].T


@dataclass(frozen=True)
class Design:
    """Training units in their principal axes, in which a fit is cheap.

    The penalty is the same in all orthonormal axes, and no coefficient of the optimum points where
    the units do not vary: a fit in these axes is exact, and has at most as many coefficients as
    there are units. The axes make the covariance diagonal, so that one division preconditions a
    fit of any strength. Parts of the units keep the axes of all.

    Attributes
    ----------
    mean
        Of the units' features.
    axes
        Orthonormal; one in each column.
    units
        Centred coordinates along the axes, and a last column of ones for the intercept.
    """

    mean: Float64[np.ndarray, " d"]
    axes: Float64[np.ndarray, "d axes"]
    units: Float64[np.ndarray, "units columns"]

    @classmethod
    def of(cls, x: Float[np.ndarray, "units d"]) -> "Design":
        """Find the principal axes, from the smaller of the two Gram matrices."""
        mean = x.mean(axis=0, dtype=np.float64)
        centred = x - mean
        if len(x) >= x.shape[1]:
            axes = np.linalg.eigh(centred.T @ centred)[1]
            return cls(mean, axes, _with_ones(centred @ axes))
        squares, vectors = np.linalg.eigh(centred @ centred.T)
        varies = squares > _ROUNDING * squares[-1]
        lengths, vectors = np.sqrt(squares[varies]), vectors[:, varies]
        return cls(mean, centred.T @ (vectors / lengths), _with_ones(vectors * lengths))

    def part(self, rows: Bool[np.ndarray, " units"]) -> "Design":
        """Return some of the units, centred anew."""
        coordinates = self.units[rows, :-1]
        shift = coordinates.mean(axis=0)
        return Design(self.mean + self.axes @ shift, self.axes, _with_ones(coordinates - shift))

    @cached_property
    def half(self) -> Float32[np.ndarray, "units columns"]:
        """The units in single precision: half the bytes to read."""
        return self.units.astype(np.float32)

    @cached_property
    def variance(self) -> Float64[np.ndarray, " columns"]:
        """Mean square of each column of `units`."""
        return np.asarray((self.units**2).mean(axis=0))

    def ridge(
        self, y: Float[np.ndarray, "units outputs"], strengths: Sequence[float]
    ) -> list[Linear]:
        """Fit ridge regression of each strength in closed form; `y` has one column per output."""
        offset = y.mean(axis=0, dtype=np.float64)
        coordinates = self.units[:, :-1]
        covariance = coordinates.T @ coordinates / len(y)
        right = coordinates.T @ (y - offset) / len(y)
        found = []
        for strength in strengths:
            matrix = covariance.copy()
            matrix.flat[:: len(matrix) + 1] += strength
            b = cho_solve(cho_factor(matrix, lower=True), right)
            rest = matrix @ b - right
            found.append(self._linear(b, offset, float(abs(rest).max(initial=0)), 0))
        return found

    def logistic(
        self,
        y: Int[np.ndarray, " units"],
        classes: int,
        strengths: Sequence[float],
        tolerance: float,
        iterations: int,
    ) -> list[Linear]:
        """Fit multinomial logistic regression of each strength by Newton's method.

        Solutions of evenly spaced log strengths lie nearly on a line, so each fit starts where the
        two before it point to. The objective is convex: the start does not change the optimum.

        Parameters
        ----------
        y
            Class of each unit, 0 to `classes` - 1.
        strengths
            Best from strong to weak, evenly spaced on a log scale.
        tolerance
            On the largest entry of the preconditioned gradient.
        iterations
            Most conjugate-gradient steps of one fit.
        """
        onehot = (np.arange(classes)[:, None] == y).astype(np.float64)
        start = np.zeros((classes, self.units.shape[1]))
        start[:, -1] = np.log(np.maximum(onehot.mean(axis=1), 1 / (2 * len(y))))
        before, found = None, []
        for strength in strengths:
            fit = _Logistic(self, onehot, strength)
            end, used = fit.minimise(fit.at(start), tolerance, iterations)
            start = end.v if before is None else 2 * end.v - before
            before = end.v
            found.append(self._linear(end.v[:, :-1].T, end.v[:, -1], end.norm, used))
        return found

    def _linear(
        self,
        b: Float64[np.ndarray, "axes outputs"],
        intercept: Float64[np.ndarray, " outputs"],
        norm: float,
        iterations: int,
    ) -> Linear:
        """Return the map of features that is `b` along the axes."""
        coefficients = self.axes @ b
        return Linear(coefficients, intercept - self.mean @ coefficients, norm, iterations)


@dataclass(frozen=True)
class _Point:
    """The logistic objective at one place.

    Attributes
    ----------
    v
        Coefficients along the axes, and the intercept.
    value, gradient
        Of the objective.
    scale
        Inverse of a diagonal that stands for the Hessian.
    shares
        Probability of each class for each unit.
    """

    v: Float64[np.ndarray, "classes columns"]
    value: float
    gradient: Float64[np.ndarray, "classes columns"]
    scale: Float64[np.ndarray, "classes columns"]
    shares: Float32[np.ndarray, "classes units"]

    @property
    def norm(self) -> float:
        """The largest entry of the preconditioned gradient."""
        return float((abs(self.gradient) * np.sqrt(self.scale)).max())


class _Logistic:
    """The logistic objective of one strength, and Newton's method for it.

    Each Newton step is solved by preconditioned conjugate gradients (Nocedal & Wright 2006,
    ch. 7.1), no more accurately than the gradient is small. Only this direction is computed in
    single precision; the objective, its gradient and so the optimum are in double.
    """

    def __init__(
        self, design: Design, onehot: Float64[np.ndarray, "classes units"], strength: float
    ) -> None:
        self.design, self.onehot = design, onehot
        self.penalty = np.full(design.units.shape[1], strength)
        self.penalty[-1] = 0

    def at(self, v: Float64[np.ndarray, "classes columns"]) -> _Point:
        """Return the objective at `v`.

        Its Hessian has one block per class, the covariance of units weighted by p (1 - p), and
        smaller ones between classes. The diagonal replaces weights by their mean.
        """
        units = self.onehot.shape[1]
        logits, slope = v @ self.design.units.T, v * self.penalty
        shares, log_sum = _softmax(logits)
        loss = (log_sum - np.vdot(logits, self.onehot)) / units
        weight = (shares.sum(axis=1) - np.einsum("ij,ij->i", shares, shares)) / units
        weight = np.maximum(weight, 1 / (2 * units))
        scale = 1 / (weight[:, None] * self.design.variance + self.penalty)
        gradient = (shares - self.onehot) @ self.design.units / units + slope
        value = float(loss + np.vdot(slope, v) / 2)
        return _Point(v, value, gradient, scale, shares.astype(np.float32))

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
    ) -> tuple[Float64[np.ndarray, "classes columns"], int]:
        """Return an approximate Newton step, and the conjugate-gradient steps it took."""
        root = np.sqrt(point.scale)
        accuracy = max(min(0.5, point.norm**0.5) * point.norm, tolerance / 2)
        step, along, rest = np.zeros_like(point.v), np.zeros_like(point.v), -point.gradient
        energy, steps = 1.0, 0
        while steps < most and (abs(rest) * root).max() > accuracy:
            conditioned = point.scale * rest
            before, energy = energy, float(np.vdot(rest, conditioned))
            along = conditioned + energy / before * along
            curved = self._curvature(point, along)
            length = energy / float(np.vdot(along, curved))
            step += length * along
            rest -= length * curved
            steps += 1
        return step, steps

    def _curvature(
        self, point: _Point, along: Float64[np.ndarray, "classes columns"]
    ) -> Float64[np.ndarray, "classes columns"]:
        """Return the Hessian at a point, damped to stay positive, times a direction."""
        half = self.design.half
        change = along.astype(np.float32) @ half.T
        change -= np.einsum("ij,ij->j", change, point.shares)
        change *= point.shares
        stiffness = self.penalty + _DAMPING / point.scale
        return np.asarray(change @ half / len(half) + along * stiffness)

    def _search(self, point: _Point, step: Float64[np.ndarray, "classes columns"]) -> _Point | None:
        """Return the first point that is low enough on the way back from a whole step, or None."""
        slope, rounding = np.vdot(point.gradient, step), 1e-14 * (1 + abs(point.value))
        length = 1.0
        while length > 1e-6:  # noqa: PLR2004 - a Newton step of a convex loss is never so wrong
            new = self.at(point.v + length * step)
            if new.value <= point.value + 1e-4 * length * slope + rounding:
                return new
            length /= 2
        return None


def _with_ones(
    coordinates: Float64[np.ndarray, "units axes"],
) -> Float64[np.ndarray, "units axes+1"]:
    """Append the intercept's column."""
    return np.column_stack([coordinates, np.ones(len(coordinates))])


def _softmax(
    logits: Float64[np.ndarray, "classes units"],
) -> tuple[Float64[np.ndarray, "classes units"], float]:
    """Return the softmax over classes, and the sum over units of the log of its denominator."""
    most = logits.max(axis=0)
    shares = np.exp(logits - most)
    total = shares.sum(axis=0)
    shares /= total
    return shares, float((np.log(total) + most).sum())
