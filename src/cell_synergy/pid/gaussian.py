r"""Partial information decomposition of jointly Gaussian (M; X, Y): what X and Y tell about M.

Only two matrices matter: how X and how Y show M when M and the noise of each have unit covariance,
`X = B_x M + noise`, `Y = B_y M + noise`. Then

    I(M; X) = 1/2 log det(I + B_x' B_x)

and, with A the covariance of the two noises and B the rows of B_x and B_y together,

    I(M; X, Y) = 1/2 log det(I + B' [[I, A], [A', I]]^-1 B).

BROJA asks for the least I(M; X, Y) of any distribution with the same (M, X) and (M, Y). Among
Gaussian ones [1]_ that leaves A free, of spectral norm at most one. The expression is convex in A:
the information of a Gaussian channel is convex in its noise covariance [2]_. It is minimised by
Newton's method along the central path of the barrier -log det, which bounds the distance from the
minimum: a barrier of weight w leaves at most w times the size of [[I, A], [A', I]] [3]_.

References
----------
.. [1] Venkatesh, Bennett, Gale et al., "Gaussian partial information decomposition: bias
   correction and application to high-dimensional data", NeurIPS 2023 (their definition ~_G).
.. [2] Diggavi and Cover, "The worst additive noise under a covariance constraint", IEEE
   Transactions on Information Theory 47, 2001, lemma II.3.
.. [3] Boyd and Vandenberghe, "Convex optimization", 2004, section 11.2.2.
.. [4] Barrett, "Exploration of synergistic and redundant information sharing in static and
   dynamical Gaussian systems", Physical Review E 91, 2015.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Real

from cell_synergy.core.errors import DataError
from cell_synergy.pid.discrete import Decomposition

_GAP = 1e-7  # nats from the minimum at most; rounding hides less where the noises coincide
_SHRINK = 0.1  # of the barrier, from one centre to the next
_STEPS = 50  # Newton takes under ten for a centre
_ROUNDING = 1e-12
_INVOLVED = 0.1  # of an eigenvector of length one: a variable that matters in it
_PARTS = 3  # M, X and Y


def mutual_informations(
    covariance: Real[np.ndarray, "n n"], sizes: tuple[int | float, ...]
) -> tuple[float, float, float]:
    """Return I(M; X), I(M; Y) and I(M; X, Y) in bits, in closed form.

    Parameters
    ----------
    covariance
        Of all variables: first those of M, then of X, then of Y.
    sizes
        How many variables M, X and Y have.

    Raises
    ------
    DataError
        If the sizes do not add up, or the matrix is not finite, symmetric and positive definite: a
        variable that others determine tells infinitely much of them, or makes the noises of X and Y
        one, and rounding would make up a number.
    """
    covariance, (m, x, _) = _checked(covariance, sizes)
    parts = np.s_[:m], np.s_[m : m + x], np.s_[m + x :], np.s_[m:]
    of_m, of_x, of_y, of_both = (_log_det(covariance[part, part]) for part in parts)
    left, right = (_log_det(_without(covariance, part)) for part in (parts[2], parts[1]))
    informations = of_x - left, of_y - right, of_both - _log_det(covariance)
    first, second, both = (max(0.0, (of_m + each) / np.log(4)) for each in informations)
    return first, second, both


def broja(covariance: Real[np.ndarray, "n n"], sizes: tuple[int | float, ...]) -> Decomposition:
    """Decompose I(M; X, Y) into redundant, unique (X, Y) and synergistic bits after BROJA.

    The least information is found to 1.5e-7 bits; the consistency equations hold to rounding.
    Arguments and errors are those of `mutual_informations`.

    Raises
    ------
    RuntimeError
        If Newton's method does not converge.
    """
    covariance, whole = _checked(covariance, sizes)
    informations = mutual_informations(covariance, whole)
    left, right = _channels(covariance, whole)
    return Decomposition.of(informations, _least_information(left, right))


def mmi(covariance: Real[np.ndarray, "n n"], sizes: tuple[int | float, ...]) -> Decomposition:
    """Decompose by the minimum of both informations as the redundant part.

    For an M of one variable this is the BROJA decomposition, in closed form [4]_. Arguments and
    errors are those of `mutual_informations`.
    """
    informations = mutual_informations(covariance, sizes)
    return Decomposition.of(informations, max(informations[:2]))


def _checked(
    covariance: Real[np.ndarray, "n n"], sizes: tuple[int | float, ...]
) -> tuple[Float64[np.ndarray, "n n"], tuple[int, int, int]]:
    """Return a covariance and the numbers of its variables; refuse what is none."""
    try:
        covariance = np.asarray(covariance, dtype=np.float64)
        whole = all(size == int(size) and size > 0 for size in sizes) and len(sizes) == _PARTS
    except (TypeError, ValueError) as error:
        raise DataError(f"covariance: not a matrix of numbers ({error})") from error
    if not whole or covariance.shape != (int(sum(sizes)),) * 2:
        raise DataError(
            f"covariance of shape {covariance.shape}, sizes {sizes}: give the numbers of variables "
            "of M, X and Y, each at least one, which add up to its rows and columns; of more than "
            "two sources put all but one together"
        )
    if not np.isfinite(covariance).all():
        raise DataError("covariance: an entry is not finite; drop units with missing values")
    variances = np.diag(covariance)
    if (least := int(variances.argmin())) >= 0 and variances[least] <= 0:
        raise DataError(
            f"covariance: the variance of variable {least} is {variances[least]:.3g}, so it is "
            "constant or this is no covariance; drop it"
        )
    scale = np.sqrt(variances)
    correlation = covariance / scale[:, None] / scale
    if (off := np.abs(correlation - correlation.T) > _ROUNDING).any():
        i, j = np.argwhere(off)[0]
        raise DataError(f"covariance: not symmetric at [{i}, {j}]; average it with its transpose")
    values, vectors = np.linalg.eigh(correlation)
    if values[0] <= _ROUNDING:
        named = np.flatnonzero(np.abs(vectors[:, 0]) > _INVOLVED).tolist()
        raise DataError(
            f"covariance: variables {named} determine one another, or it is no covariance (the "
            f"smallest eigenvalue of their correlations is {values[0]:.3g}); drop one of them, or "
            "estimate it from more units"
        )
    m, x, y = map(int, sizes)
    return covariance, (m, x, y)


def _without(
    covariance: Float64[np.ndarray, "n n"], part: slice
) -> Float64[np.ndarray, "rest rest"]:
    """Return the covariance of the variables outside `part`."""
    rest = np.delete(np.arange(len(covariance)), part)
    return covariance[np.ix_(rest, rest)]


def _log_det(matrix: Float64[np.ndarray, "n n"]) -> float:
    return float(2 * np.log(np.diag(np.linalg.cholesky(matrix))).sum())


def _channels(
    covariance: Float64[np.ndarray, "n n"], sizes: tuple[int, int, int]
) -> tuple[Float64[np.ndarray, "x m"], Float64[np.ndarray, "y m"]]:
    """Return B_x and B_y, each in as few rows as tell all: components of noise alone are dropped.

    Those change nothing: left uncorrelated with all others they add no information, and the least
    information cannot be below that of the rest.
    """
    m, x, _ = sizes
    root = np.linalg.cholesky(covariance[:m, :m])
    channels = []
    for part in (np.s_[m : m + x], np.s_[m + x :]):
        shown = np.linalg.solve(root, covariance[:m, part]).T
        noise = np.linalg.cholesky(covariance[part, part] - shown @ shown.T)
        whitened = np.linalg.solve(noise, shown)
        _, strengths, axes = np.linalg.svd(whitened, full_matrices=False)
        channels.append(strengths[:, None] * axes)
    return channels[0], channels[1]


@dataclass(frozen=True)
class _Point:
    """A covariance A of the two noises, and what its information changes with.

    Attributes
    ----------
    noise
        S = [[I, A], [A', I]].
    signal
        B B'.
    x
        Rows of A.
    weight
        Of the barrier -log det S.
    """

    noise: Float64[np.ndarray, "n n"]
    signal: Float64[np.ndarray, "n n"]
    x: int
    weight: float

    def moved(self, step: Float64[np.ndarray, "x y"]) -> "_Point":
        """Return the point at A + step."""
        noise = self.noise.copy()
        noise[: self.x, self.x :] += step
        noise[self.x :, : self.x] += step.T
        return replace(self, noise=noise)

    def possible(self) -> bool:
        """Say whether the noise is positive definite."""
        return bool(np.linalg.eigvalsh(self.noise)[0] > 0)

    def information(self) -> float:
        """Return I(M; X, Y) in nats."""
        return (_log_det(self.noise + self.signal) - _log_det(self.noise)) / 2

    @cached_property
    def gradient(self) -> Float64[np.ndarray, "x y"]:
        """Of information and barrier in A: a block of (S + B B')^-1 - (1 + 2 weight) S^-1."""
        difference = self._total - (1 + 2 * self.weight) * self._inverse
        return difference[: self.x, self.x :]

    def newton(self) -> Float64[np.ndarray, "x y"]:
        """Return the step to the minimum of the quadratic model."""
        curvature = (1 + 2 * self.weight) * self._change(self._inverse) - self._change(self._total)
        return -np.linalg.solve(curvature, self.gradient.ravel()).reshape(self.gradient.shape)

    @cached_property
    def _inverse(self) -> Float64[np.ndarray, "n n"]:
        return np.linalg.inv(self.noise)

    @cached_property
    def _total(self) -> Float64[np.ndarray, "n n"]:
        return np.linalg.inv(self.noise + self.signal)

    def _change(self, q: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "xy xy"]:
        """Return the map of D to the upper right block of q [[0, D], [D', 0]] q."""
        x = self.x
        straight = np.einsum("ik,lj->ijkl", q[:x, :x], q[x:, x:])
        crossed = np.einsum("il,kj->ijkl", q[:x, x:], q[:x, x:])
        return np.asarray((straight + crossed).reshape(2 * (self.gradient.size,)))


def _least_information(
    left: Float64[np.ndarray, "x m"], right: Float64[np.ndarray, "y m"]
) -> float:
    """Return the least I(M; X, Y) in bits."""
    b = np.concatenate([left, right])
    point = _Point(np.eye(len(b)), b @ b.T, len(left), 1.0)
    while True:
        point = _centred(point)
        if point.weight * len(b) <= _GAP:
            return float(point.information() / np.log(2))
        point = replace(point, weight=point.weight * _SHRINK)


def _centred(point: _Point) -> _Point:
    """Return the minimum of information and barrier, by Newton's method with halved steps.

    Along a step the objective is convex, so a slope that is not much turned means descent. Values
    are not compared: near the end they differ by less than rounding.
    """
    for _ in range(_STEPS):
        step = point.newton()
        slope = float(np.vdot(step, point.gradient))
        if -slope <= point.weight / 10:
            return point
        while not (
            (new := point.moved(step)).possible() and np.vdot(step, new.gradient) <= -slope / 2
        ):
            step, slope = step / 2, slope / 2
        point = new
    raise RuntimeError(
        f"Gaussian BROJA: no convergence in {_STEPS} Newton steps at barrier {point.weight:.0e}; "
        "drop variables that others nearly determine"
    )
