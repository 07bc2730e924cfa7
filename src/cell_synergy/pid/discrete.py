"""Partial information decomposition of a probability table p(x1, x2, y), and exact values of SIS.

The information of two sources about a label is the sum of redundant information R, unique
information U1 and U2, and synergistic information S [1]_, [2]_:

    R + U1 = I(Y; X1),   R + U2 = I(Y; X2),   R + U1 + U2 + S = I(Y; X1, X2).

These consistency equations leave one degree of freedom. BROJA [2]_ defines the union information
I* = R + U1 + U2 as the smallest I(Y; X1, X2) of any joint distribution with the same pair marginals
(X1, Y) and (X2, Y).

References
----------
.. [1] Williams and Beer, "Nonnegative decomposition of multivariate information", 2010,
   arXiv:1004.2515.
.. [2] Bertschinger, Rauh, Olbrich, Jost and Ay, "Quantifying unique information", Entropy 16, 2014.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Real
from scipy.special import entr

from cell_synergy.core.errors import DataError
from cell_synergy.pid.broja import solve_broja, validated

_SLACK = 1e-6  # bits by which the solver's I* may exceed its theoretical bounds
_ZERO = 1e-12  # information of fewer bits is a rounding error


@dataclass(frozen=True)
class Decomposition:
    """Information of two sources about a label, in bits.

    Attributes
    ----------
    redundant
        Information R, available from either source.
    unique1, unique2
        Information U1 available from the first source only, and U2 from the second only.
    synergy
        Information S, available from both sources together only.
    """

    redundant: float
    unique1: float
    unique2: float
    synergy: float

    @classmethod
    def from_union(cls, informations: tuple[float, float, float], union: float) -> "Decomposition":
        """Return the decomposition that has a given union information R + U1 + U2.

        Parameters
        ----------
        informations
            I(Y; X1), I(Y; X2) and I(Y; X1, X2), in bits.
        union
            Union information, in bits. It is clipped to at least max(I1, I2) and at most
            min(I12, I1 + I2), with I1, I2, I12 the `informations`, so that no part is negative.
        """
        first, second, both = informations
        union = max(first, second, min(union, both, first + second))
        return cls(
            redundant=max(0.0, first + second - union),
            unique1=union - second,
            unique2=union - first,
            synergy=max(0.0, both - union),
        )


def mutual_information(joint: Real[np.ndarray, "x y"]) -> float:
    """Return I(X; Y), in bits, of the probability table p(x, y).

    Raises
    ------
    DataError
        If `joint` is not a probability table of two axes.
    """
    p = validated(joint, 2)
    entropies = [float(np.sum(entr(q))) for q in (p.sum(1), p.sum(0), p)]
    return max(0.0, float((entropies[0] + entropies[1] - entropies[2]) / np.log(2)))


def broja(joint: Real[np.ndarray, "x1 x2 y"]) -> Decomposition:
    """Return the BROJA decomposition of I(Y; X1, X2).

    The solver's I* is clipped to its theoretical bounds, by at most 1e-6 bits, so that the
    consistency equations are satisfied up to rounding errors.

    Parameters
    ----------
    joint
        Probabilities p(x1, x2, y).

    Raises
    ------
    DataError
        If `joint` is not a probability table of three axes.
    RuntimeError
        If the solver does not reach its tolerance, or I* exceeds its bounds by more than 1e-6 bits.
    """
    first, second, both = informations = _informations(joint)
    union = solve_broja(joint).bits
    low, high = max(first, second), min(both, first + second)
    if not low - _SLACK <= union <= high + _SLACK:
        raise RuntimeError(
            f"BROJA: the cone solver found {union:.9f} bits, outside [{low:.9f}, {high:.9f}]; "
            "merge the table's rarest states"
        )
    return Decomposition.from_union(informations, union)


def bayes_sis(joint: Real[np.ndarray, "x1 x2 y"]) -> float:
    """Return the SIS of p(x1, x2, y) in macro F1 of Bayes classifiers of y from x1, x2 and both.

    A Bayes classifier predicts the most probable label (the first one in a tie); macro F1 is the
    mean of F1 over labels of positive probability.

    Raises
    ------
    DataError
        If `joint` is not a probability table of three axes.
    """
    p = validated(joint, 3)
    p = p[:, :, p.sum((0, 1)) > 0]
    best = max(_bayes_macro_f1(p.sum(1)), _bayes_macro_f1(p.sum(0)))
    return (_bayes_macro_f1(p.reshape(-1, p.shape[2])) - best) / best


def information_sis(joint: Real[np.ndarray, "x1 x2 y"]) -> float:
    """Return the SIS of p(x1, x2, y) in mutual information: (I12 - max(I1, I2)) / max(I1, I2).

    I1, I2 and I12 are the information of the first, the second and both sources about the label.
    The SIS is equal to (S + min(U1, U2)) / (R + max(U1, U2)) for every decomposition that satisfies
    the consistency equations. It is NaN, with a warning, if neither source alone has information.

    Raises
    ------
    DataError
        If `joint` is not a probability table of three axes.
    """
    first, second, both = _informations(joint)
    best = max(first, second)
    if best < _ZERO:
        reason = "neither source alone has information about the label"
        warnings.warn(f"no relative gain: {reason}; both give {both:.6f} bits", stacklevel=2)
        return float("nan")
    return (both - best) / best


def decoded_joint(
    joint: Real[np.ndarray, "x1 x2 y"],
    confusion1: Float64[np.ndarray, "x1 d1"],
    confusion2: Float64[np.ndarray, "x2 d2"],
) -> Float64[np.ndarray, "d1 d2 y"]:
    """Return p(d1, d2, y) of states d1 and d2 that independent decoders read from x1 and from x2.

    Parameters
    ----------
    joint
        Probabilities p(x1, x2, y) of the true states.
    confusion1, confusion2
        Probabilities p(d1 | x1) and p(d2 | x2) of decoding a true state x (row) as d (column); rows
        sum to one.

    Raises
    ------
    DataError
        If `joint` or a confusion matrix is not a table of probabilities, or a confusion matrix has
        not one row for each state of its source.
    """
    p = validated(joint, 3)
    for axis, confusion in enumerate((confusion1, confusion2)):
        if confusion.ndim != 2 or confusion.shape[0] != p.shape[axis]:  # noqa: PLR2004
            raise DataError(
                f"confusion{axis + 1} has shape {confusion.shape}; it needs one row for each of "
                f"the {p.shape[axis]} states of source {axis + 1}"
            )
        if not (np.all(confusion >= 0) and np.allclose(confusion.sum(1), 1, rtol=0, atol=1e-9)):
            raise DataError(
                f"confusion{axis + 1}: every row must be non-negative and sum to one; divide "
                "counts by their row sums"
            )
    return np.asarray(np.einsum("aby,ai,bj->ijy", p, confusion1, confusion2))


def _informations(joint: Real[np.ndarray, "x1 x2 y"]) -> tuple[float, float, float]:
    """Return I(Y; X1), I(Y; X2) and I(Y; X1, X2) in bits."""
    p = validated(joint, 3)
    return (
        mutual_information(p.sum(1)),
        mutual_information(p.sum(0)),
        mutual_information(p.reshape(-1, p.shape[2])),
    )


def _bayes_macro_f1(p: Float64[np.ndarray, "x y"]) -> float:
    """Return the macro F1 of the classifier that predicts the most probable label given x."""
    # Probabilities that differ by rounding errors of sums are ties.
    tied = p >= p.max(axis=1, keepdims=True) * (1 - 1e-12)
    predictions = np.eye(p.shape[1])[np.argmax(tied, axis=1)]
    true_positives = np.sum(predictions * p, axis=0)
    predicted = predictions.T @ p.sum(1)
    return float(np.mean(2 * true_positives / (predicted + p.sum(0))))
