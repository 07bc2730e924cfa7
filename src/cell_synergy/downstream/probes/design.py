"""Linear models: multinomial logistic regression and ridge regression, solved to the optimum.

Inputs are standardised features. The L2 penalty is per training row: the objective is the mean loss
plus `penalty / 2` times the squared norm of the coefficients without the intercept. Arguments and
results are NumPy arrays; everything between them is computed on `core.device.device`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Shaped

from cell_synergy.core.random import stream
from cell_synergy.downstream.probes import _linalg
from cell_synergy.downstream.probes._linalg import Array
from cell_synergy.downstream.probes.logistic import RotatedDesign, path
from cell_synergy.downstream.probes.ridge import centred_gram, group_grams, solve

_ROUNDING = 1e-10  # share of the largest variance; a smaller variance is a rounding error
_MAX_ROTATION = 1e10  # multiplications up to which rotating all rows costs less than it saves
_SAMPLE = 4  # rows per feature that the axes are estimated from; more rows save no iterations


@dataclass(frozen=True)
class Linear:
    """A fitted linear model and how well its optimum was reached.

    Attributes
    ----------
    coefficients, intercept
        Predictions are `x @ coefficients + intercept`.
    gradient_norm
        Largest absolute entry of the objective's gradient at the solution, along the columns of
        the design. The gradient of logistic regression is preconditioned: half of its squared norm
        is about the excess of the objective over its minimum.
    iterations
        Number of conjugate-gradient steps, each of which reads the data once; 0 for a closed form.
    """

    coefficients: Float64[np.ndarray, "d outputs"]
    intercept: Float64[np.ndarray, " outputs"]
    gradient_norm: float
    iterations: int

    def scores(self, x: Float[np.ndarray, "obs d"]) -> Float64[np.ndarray, "obs outputs"]:
        """Return the values predicted by ridge regression, or the logits of logistic regression."""
        return np.asarray(x @ self.coefficients + self.intercept)

    def probabilities(self, x: Float[np.ndarray, "obs d"]) -> Float64[np.ndarray, "obs outputs"]:
        """Return the class probabilities that logistic regression predicts; rows sum to one."""
        logits = self.scores(x)
        probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Frame:
    """An orthonormal coordinate system of the features.

    Attributes
    ----------
    mean
        Origin of the coordinates: the mean of the features.
    axes
        Orthonormal axes, one per column. None if the coordinates are the centred features.
    """

    mean: Float64[Array, " d"]
    axes: Float64[Array, "d k"] | None

    def shifted(self, shift: Float64[Array, " k"]) -> "Frame":
        """Return a frame with equal axes and the origin moved by `shift`, given along the axes."""
        return Frame(self.mean + (shift if self.axes is None else self.axes @ shift), self.axes)

    @classmethod
    def about_mean(cls, x: Float[np.ndarray, "obs d"]) -> "Frame":
        """Return the frame of the centred features."""
        return cls(_linalg.as_float64(x.mean(axis=0, dtype=np.float64)), None)

    def columns(self, x: Float[np.ndarray, "obs d"]) -> Float64[Array, "obs columns"]:
        """Return the coordinates of each row, with a last column of ones for the intercept."""
        if self.axes is not None:
            return _linalg.with_intercept((_linalg.as_float64(x) - self.mean) @ self.axes)
        columns = _linalg.with_intercept(x)
        columns[:, : len(self.mean)] -= self.mean
        return columns

    def linear(
        self,
        columns: Float64[Array, "columns outputs"],
        offset: Float64[Array, " outputs"] | float,
        gradient_norm: float,
        iterations: int,
    ) -> Linear:
        """Return the linear model of the features that equals a fit in this frame.

        Parameters
        ----------
        columns
            Coefficients along the axes, one column per output; the last row is the intercept.
        offset
            Value of each output that is added to the intercept.
        gradient_norm, iterations
            Convergence of the fit, as attributes of `Linear`.
        """
        b = columns[:-1] if self.axes is None else self.axes @ columns[:-1]
        intercept = columns[-1] + offset - self.mean @ b
        return Linear(_linalg.to_numpy(b), _linalg.to_numpy(intercept), gradient_norm, iterations)


def coordinates(
    x: Float[np.ndarray, "obs d"],
) -> tuple[Frame, Float64[Array, "obs columns"]]:
    """Return a frame of the centred features, or of their principal axes if rows are fewer.

    Returns
    -------
    :
        The frame, and the coordinates of all rows in the frame, with a last column of ones.
    """
    frame = Frame.about_mean(x)
    columns = frame.columns(x)
    if len(x) >= x.shape[1]:
        return frame, columns
    features = columns[:, :-1]
    eigenvalues, vectors = _linalg.array_module().linalg.eigh(features @ features.T)
    varies = eigenvalues > _ROUNDING * eigenvalues[-1]
    lengths, vectors = eigenvalues[varies] ** 0.5, vectors[:, varies]
    frame = replace(frame, axes=features.T @ (vectors / lengths))
    return frame, _linalg.with_intercept(vectors * lengths)


@dataclass(frozen=True)
class Design:
    """Training rows in centred coordinates, in which fits with many penalties are cheap.

    The L2 penalty is invariant under rotations, and the optimal coefficients are zero along
    directions in which the rows do not vary. A fit along principal axes is therefore exact and has
    at most as many coefficients as there are rows. Principal axes make the covariance diagonal, so
    that one division preconditions a logistic fit with any penalty. Designs of subsets of the rows
    have the axes of all rows; their Gram matrices are sums over groups of rows.

    Attributes
    ----------
    frame
        The coordinate system.
    columns
        Centred coordinates, and a last column of ones for the intercept.
    group
        Index of each row's group.
    whole
        Design of all rows, if the rows of this design are a subset; else None.
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
        """Return the design of training rows.

        Parameters
        ----------
        x
            Features of the training rows.
        groups
            Group of each row, e.g. its inner fold. The Gram matrix is computed once per group and
            summed for every subset that consists of whole groups. None puts all rows in one group.
        """
        frame, columns = coordinates(x)
        if frame.axes is None and len(x) * x.shape[1] ** 2 <= _MAX_ROTATION:
            centred = columns[:, :-1]
            axes = _linalg.array_module().linalg.eigh(centred.T @ centred)[1]
            frame, centred[:] = Frame(frame.mean, axes), centred @ axes
        groups = np.zeros(len(x)) if groups is None else groups
        return cls(frame, columns, np.unique(groups, return_inverse=True)[1])

    def part(self, mask: Bool[np.ndarray, " obs"]) -> "Design":
        """Return the design of the rows in a mask, centred on the mean of the rows in the mask."""
        columns = self.columns[_linalg.as_index(mask)]
        shift = columns[:, :-1].mean(axis=0)
        columns[:, :-1] -= shift
        return Design(self.frame.shifted(shift), columns, self.group[mask], self)

    def ridge(
        self, y: Float[np.ndarray, "obs outputs"], penalties: Sequence[float]
    ) -> list[Linear]:
        """Fit ridge regression with each penalty in closed form.

        Parameters
        ----------
        y
            Target values of each row, one column per output.
        penalties
            L2 penalties: the objective is half the mean squared error plus `penalty / 2` times the
            squared norm of the coefficients without the intercept.

        Returns
        -------
        :
            One model of the features per penalty, in the order of the penalties.
        """
        targets = _linalg.as_float64(y)
        offset = targets.mean(axis=0)
        products = ((targets - offset).T @ self.columns).T
        return [
            self.frame.linear(coefficients, offset, norm, 0)
            for coefficients, norm in solve(self.gram, products, penalties)
        ]

    def logistic(
        self,
        y: Int[np.ndarray, " obs"],
        classes: int,
        penalties: Sequence[float],
        tolerance: float,
        iterations: int,
    ) -> list[Linear]:
        """Fit multinomial logistic regression with each penalty by Newton's method.

        Parameters
        ----------
        y
            Class of each row, 0 to `classes` - 1.
        classes
            Number of classes.
        penalties
            L2 penalties: the objective is the mean cross entropy (nats) plus `penalty / 2` times
            the squared norm of the coefficients without the intercept. Fits are fastest from large
            to small penalties that are evenly spaced on a log scale.
        tolerance
            Largest absolute entry of the preconditioned gradient at which a fit stops.
        iterations
            Maximal number of conjugate-gradient steps of one fit.

        Returns
        -------
        :
            One model of the features per penalty, in the order of the penalties.
        """
        onehot = _linalg.as_float64(np.arange(classes)[:, None] == y)
        optima = path(self.rotated, onehot, penalties, tolerance, iterations)
        return [self.frame.linear(v.T, 0.0, norm, steps) for v, norm, steps in optima]

    @cached_property
    def group_grams(self) -> list[Float64[Array, "columns columns"]]:
        """The Gram matrix of each group."""
        return group_grams(self.columns, self.group)

    @cached_property
    def gram(self) -> Float64[Array, "columns columns"]:
        """The Gram matrix of all rows; a sum over groups if the rows are whole groups."""
        if self.whole is None:
            return sum(self.group_grams)
        groups = np.unique(self.group)
        if np.isin(self.whole.group, groups).sum() == len(self.group):
            return centred_gram(sum(self.whole.group_grams[number] for number in groups))
        return self.columns.T @ self.columns

    @cached_property
    def rotated(self) -> RotatedDesign:
        """The rows with the principal axes that precondition a logistic fit."""
        if self.frame.axes is not None:
            return RotatedDesign(self.columns, None, (self.columns**2).mean(axis=0))
        if self.whole is not None:
            return replace(self.whole.rotated, columns=self.columns)
        count, width = self.columns.shape
        drawn = stream(0, "axes").choice(count, min(count, _SAMPLE * width), replace=False)
        sample = self.columns[_linalg.as_index(np.sort(drawn))]
        covariance = centred_gram(sample.T @ sample) / len(sample)
        rotation, variance = covariance * 0, covariance[-1] + 0
        rotation[-1, -1] = 1
        variance[:-1], rotation[:-1, :-1] = _linalg.array_module().linalg.eigh(covariance[:-1, :-1])
        return RotatedDesign(self.columns, rotation, variance.clip(0))
