"""Linear probes: multinomial logistic regression and ridge regression, solved exactly.

Inputs are standardised features. The strength of the penalty is per training unit: the objective is
the mean loss plus `strength / 2` times the squared norm of the coefficients (not of the intercept).
Arrays come in and go out; between them all is computed on `core.compute.device`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Shaped

from cell_synergy.core.random import stream
from cell_synergy.downstream.probes import _linalg
from cell_synergy.downstream.probes._linalg import Array
from cell_synergy.downstream.probes.logistic import Units, path
from cell_synergy.downstream.probes.ridge import about_mean, grams, solve

_ROUNDING = 1e-10  # share of the largest variance below which a direction is rounding
_CHEAP = 1e10  # products of numbers that turn all units: more cost more than they save
_ENOUGH = 4  # units per feature that show the axes; more save no iterations


@dataclass(frozen=True)
class Linear:
    """A fitted linear map and how well its optimum was reached.

    Attributes
    ----------
    coefficients, intercept
        Scores are `x @ coefficients + intercept`.
    gradient_norm
        Largest absolute entry of the objective's gradient at the solution, along the coordinates
        of the design; for a logistic probe the preconditioned gradient's, half the squared norm of
        which is about how much higher the objective is than at its optimum.
    iterations
        Conjugate-gradient steps, each of which reads the data once; 0 for a closed form.
    """

    coefficients: Float64[np.ndarray, "d outputs"]
    intercept: Float64[np.ndarray, " outputs"]
    gradient_norm: float
    iterations: int

    def scores(self, x: Float[np.ndarray, "obs d"]) -> Float64[np.ndarray, "obs outputs"]:
        """Return predictions of a ridge probe, logits of a logistic one."""
        return np.asarray(x @ self.coefficients + self.intercept)

    def probabilities(self, x: Float[np.ndarray, "obs d"]) -> Float64[np.ndarray, "obs outputs"]:
        """Return the class probabilities of a logistic probe."""
        logits = self.scores(x)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Frame:
    """How coordinates, in which a fit is cheap, lie among the features.

    Attributes
    ----------
    mean
        Of the features, where the coordinates are zero.
    axes
        Orthonormal; one in each column. None if the coordinates are centred features.
    """

    mean: Float64[Array, " d"]
    axes: Float64[Array, "d k"] | None

    def moved(self, shift: Float64[Array, " k"]) -> "Frame":
        """Return the same coordinates about another place."""
        return Frame(self.mean + (shift if self.axes is None else self.axes @ shift), self.axes)

    @classmethod
    def about_mean(cls, x: Float[np.ndarray, "obs d"]) -> "Frame":
        """Return the features as coordinates, less their mean."""
        return cls(_linalg.of(x.mean(axis=0, dtype=np.float64)), None)

    def columns(
        self, x: Float[np.ndarray, "obs d"], *others: Float[np.ndarray, "obs _"]
    ) -> Float64[Array, "obs columns"]:
        """Return coordinates of units, a last column of ones for the intercept, and others."""
        if self.axes is not None:
            return _linalg.with_ones((_linalg.of(x) - self.mean) @ self.axes, *others)
        columns = _linalg.with_ones(x, *others)
        columns[:, : len(self.mean)] -= self.mean
        return columns

    def linear(
        self,
        v: Float64[Array, "columns outputs"],
        offset: Float64[Array, " outputs"] | float,
        norm: float,
        iterations: int,
    ) -> Linear:
        """Return the map of features that is `v` along the columns, plus `offset`."""
        b = v[:-1] if self.axes is None else self.axes @ v[:-1]
        intercept = v[-1] + offset - self.mean @ b
        return Linear(_linalg.numpy(b), _linalg.numpy(intercept), norm, iterations)


def coordinates(
    x: Float[np.ndarray, "obs d"],
) -> tuple[Frame, Float64[Array, "obs columns"]]:
    """Return centred features, or principal axes if units are fewer; and a last column of ones."""
    frame = Frame.about_mean(x)
    columns = frame.columns(x)
    if len(x) >= x.shape[1]:
        return frame, columns
    features = columns[:, :-1]
    squares, vectors = _linalg.library().linalg.eigh(features @ features.T)
    varies = squares > _ROUNDING * squares[-1]
    lengths, vectors = squares[varies] ** 0.5, vectors[:, varies]
    frame = replace(frame, axes=features.T @ (vectors / lengths))
    return frame, _linalg.with_ones(vectors * lengths)


@dataclass(frozen=True)
class Design:
    """Training units in coordinates in which a fit is cheap.

    The penalty is the same in all orthonormal axes, and no coefficient of the optimum points where
    the units do not vary: a fit along principal axes is exact, and has at most as many coefficients
    as there are units. The axes make the covariance diagonal, so that one division preconditions a
    logistic fit of any strength. Parts of the units keep the axes of all, and are fitted by ridge
    regression from sums over groups of units.

    Attributes
    ----------
    frame
        Where the coordinates lie.
    columns
        Centred coordinates, and a last column of ones for the intercept.
    group
        Number of each unit's group.
    whole
        What this is a part of, if it is.
    """

    frame: Frame
    columns: Float64[Array, "obs columns"]
    group: Int[np.ndarray, " obs"]
    whole: "Design | None" = None

    @classmethod
    def of(
        cls,
        x: Float[np.ndarray, "obs d"],
        groups: Shaped[np.ndarray, " obs"] | None = None,
    ) -> "Design":
        """Find the coordinates.

        Parameters
        ----------
        x
            Features.
        groups
            Of each unit, e.g. its inner fold: a Gram matrix is computed once per group, and summed
            for every part that consists of whole groups. One group if None.
        """
        frame, columns = coordinates(x)
        if frame.axes is None and len(x) * x.shape[1] ** 2 <= _CHEAP:
            centred = columns[:, :-1]
            axes = _linalg.library().linalg.eigh(centred.T @ centred)[1]
            frame, centred[:] = Frame(frame.mean, axes), centred @ axes
        groups = np.zeros(len(x)) if groups is None else groups
        return cls(frame, columns, np.unique(groups, return_inverse=True)[1])

    def part(self, rows: Bool[np.ndarray, " obs"]) -> "Design":
        """Return some of the units, centred anew."""
        own = self.columns[_linalg.rows(rows)]
        shift = own[:, :-1].mean(axis=0)
        own[:, :-1] -= shift
        return Design(self.frame.moved(shift), own, self.group[rows], self)

    def ridge(
        self, y: Float[np.ndarray, "obs outputs"], strengths: Sequence[float]
    ) -> list[Linear]:
        """Fit ridge regression of each strength in closed form; `y` has one column per output."""
        targets = _linalg.of(y)
        offset = targets.mean(axis=0)
        products = ((targets - offset).T @ self.columns).T
        return [
            self.frame.linear(v, offset, norm, 0)
            for v, norm in solve(self.squares, products, strengths)
        ]

    def logistic(
        self,
        y: Int[np.ndarray, " obs"],
        classes: int,
        strengths: Sequence[float],
        tolerance: float,
        iterations: int,
    ) -> list[Linear]:
        """Fit multinomial logistic regression of each strength by Newton's method.

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
        onehot = _linalg.of(np.arange(classes)[:, None] == y)
        found = path(self.units, onehot, strengths, tolerance, iterations)
        return [self.frame.linear(v.T, 0.0, norm, steps) for v, norm, steps in found]

    @cached_property
    def by_group(self) -> list[Float64[Array, "columns columns"]]:
        """The Gram matrix of each group."""
        return grams(self.columns, self.group)

    @cached_property
    def squares(self) -> Float64[Array, "columns columns"]:
        """The Gram matrix, from those of groups where it can be."""
        if self.whole is None:
            return sum(self.by_group)
        kept = np.unique(self.group)
        if np.isin(self.whole.group, kept).sum() == len(self.group):
            return about_mean(sum(self.whole.by_group[number] for number in kept))
        return self.columns.T @ self.columns

    @cached_property
    def units(self) -> Units:
        """The units with the axes that precondition a fit."""
        if self.frame.axes is not None:
            return Units(self.columns, None, (self.columns**2).mean(axis=0))
        if self.whole is not None:
            return replace(self.whole.units, columns=self.columns)
        count, width = self.columns.shape
        drawn = stream(0, "axes").choice(count, min(count, _ENOUGH * width), replace=False)
        sample = self.columns[_linalg.rows(np.sort(drawn))]
        square = about_mean(sample.T @ sample) / len(sample)
        turn, variance = square * 0, square[-1] + 0
        turn[-1, -1] = 1
        variance[:-1], turn[:-1, :-1] = _linalg.library().linalg.eigh(square[:-1, :-1])
        return Units(self.columns, turn, variance.clip(0))
