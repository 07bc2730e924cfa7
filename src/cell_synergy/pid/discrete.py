"""Partial information decomposition of a discrete table p(x1, x2, y), and the scores it implies.

What two sources tell about a label splits into a redundant part R, two unique parts U1 and U2 and
a synergistic part S [1]_, [2]_:

    R + U1 = I(Y; X1),   R + U2 = I(Y; X2),   R + U1 + U2 + S = I(Y; X1, X2).

BROJA [2]_ fixes the one remaining freedom by the least information I* that any joint distribution
with the same pair marginals (X1, Y) and (X2, Y) holds about Y; I* = R + U1 + U2.

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
from cell_synergy.pid.broja import checked, least_information

# Bits: how far the minimum may lie outside the range that theory allows; what rounding leaves of 0.
_SLACK = 1e-6
_NOTHING = 1e-12


@dataclass(frozen=True)
class Decomposition:
    """What two sources tell about a label, in bits.

    Attributes
    ----------
    redundant
        Known from either source.
    unique1, unique2
        Known from the first, or the second, only.
    synergy
        Known only from both together.
    """

    redundant: float
    unique1: float
    unique2: float
    synergy: float

    @classmethod
    def of(cls, informations: tuple[float, float, float], least: float) -> "Decomposition":
        """Split the informations of both sources and the pair so that R + U1 + U2 is `least`.

        No part is negative exactly when `least` lies between the larger information and the smaller
        of their sum and the pair's; it is moved into that range.
        """
        first, second, both = informations
        least = max(first, second, min(least, both, first + second))
        return cls(
            redundant=max(0.0, first + second - least),
            unique1=least - second,
            unique2=least - first,
            synergy=max(0.0, both - least),
        )


def mutual_information(joint: Real[np.ndarray, "x y"]) -> float:
    """Return I(X; Y) in bits of the probability table p(x, y).

    Raises
    ------
    DataError
        If `joint` is no table of probabilities on two axes.
    """
    p = checked(joint, 2)
    entropies = [float(np.sum(entr(q))) for q in (p.sum(1), p.sum(0), p)]
    return max(0.0, float((entropies[0] + entropies[1] - entropies[2]) / np.log(2)))


def broja(joint: Real[np.ndarray, "x1 x2 y"]) -> Decomposition:
    """Decompose I(Y; X1, X2) into redundant, unique and synergistic bits after BROJA.

    The solver's I* is moved into the range that theory guarantees, by less than 1e-6 bits, and the
    consistency equations hold to rounding.

    Parameters
    ----------
    joint
        Probabilities p(x1, x2, y).

    Raises
    ------
    DataError
        If `joint` is no table of probabilities on three axes.
    RuntimeError
        If the solver does not reach its tolerance.
    """
    first, second, both = informations = _informations(joint)
    least = least_information(joint).bits
    low, high = max(first, second), min(both, first + second)
    if not low - _SLACK <= least <= high + _SLACK:
        found = f"{least:.9f} bits, outside [{low:.9f}, {high:.9f}]"
        raise RuntimeError(f"BROJA: the cone solver found {found}; merge the table's rarest states")
    return Decomposition.of(informations, least)


def bayes_sis(joint: Real[np.ndarray, "x1 x2 y"]) -> float:
    """Return the SIS in macro F1 of the Bayes classifiers that see x1, x2 and both.

    A Bayes classifier answers with the most probable label (the first of tied ones); macro F1 is
    over the labels of positive probability.

    Raises
    ------
    DataError
        If `joint` is no table of probabilities on three axes.
    """
    p = checked(joint, 3)
    p = p[:, :, p.sum((0, 1)) > 0]
    best = max(_bayes_macro_f1(p.sum(1)), _bayes_macro_f1(p.sum(0)))
    return (_bayes_macro_f1(p.reshape(-1, p.shape[2])) - best) / best


def information_sis(joint: Real[np.ndarray, "x1 x2 y"]) -> float:
    """Return the SIS in exact mutual information: (I12 - max(I1, I2)) / max(I1, I2).

    Equal to (S + min(U1, U2)) / (R + max(U1, U2)) for every decomposition that satisfies the
    consistency equations. NaN, with a warning, where neither source alone knows anything.

    Raises
    ------
    DataError
        If `joint` is no table of probabilities on three axes.
    """
    first, second, both = _informations(joint)
    best = max(first, second)
    if best < _NOTHING:
        why = "neither source alone tells anything of the label"
        warnings.warn(f"no relative gain: {why}; both give {both:.6f} bits", stacklevel=2)
        return float("nan")
    return (both - best) / best


def decoded_joint(
    joint: Real[np.ndarray, "x1 x2 y"],
    confusion1: Float64[np.ndarray, "x1 d1"],
    confusion2: Float64[np.ndarray, "x2 d2"],
) -> Float64[np.ndarray, "d1 d2 y"]:
    """Return p(d1, d2, y) when each source is seen only through its own decoder.

    Parameters
    ----------
    joint
        Probabilities p(x1, x2, y) of the true states.
    confusion1, confusion2
        Probabilities p(d | x) that a true state is decoded as d; rows sum to one.

    Raises
    ------
    DataError
        If `joint` or a confusion is no table of probabilities, or their states differ in number.
    """
    p = checked(joint, 3)
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
    p = checked(joint, 3)
    return (
        mutual_information(p.sum(1)),
        mutual_information(p.sum(0)),
        mutual_information(p.reshape(-1, p.shape[2])),
    )


def _bayes_macro_f1(p: Float64[np.ndarray, "x y"]) -> float:
    """Return the macro F1 of the most probable label given x."""
    # Probabilities that differ only by the rounding of sums are ties.
    tied = p >= p.max(axis=1, keepdims=True) * (1 - 1e-12)
    answers = np.eye(p.shape[1])[np.argmax(tied, axis=1)]
    hits = np.sum(answers * p, axis=0)
    answered = answers.T @ p.sum(1)
    return float(np.mean(2 * hits / (answered + p.sum(0))))
