"""Partial information decomposition of a discrete table p(x1, x2, y), and the scores it implies.

What two sources tell about a label splits into a redundant part R, two unique parts U1 and U2 and
a synergistic part S [1]_, [2]_:

    R + U1 = I(Y; X1),   R + U2 = I(Y; X2),   R + U1 + U2 + S = I(Y; X1, X2).

BROJA [2]_ fixes the one remaining freedom by the least information I* that any joint distribution
with the same pair marginals (X1, Y) and (X2, Y) holds about Y; I* = R + U1 + U2. The minimum is an
exponential-cone program [3]_, solved here by an interior-point method without random starts.

References
----------
.. [1] Williams and Beer, "Nonnegative decomposition of multivariate information", 2010,
   arXiv:1004.2515.
.. [2] Bertschinger, Rauh, Olbrich, Jost and Ay, "Quantifying unique information", Entropy 16, 2014.
.. [3] Makkeh, Theis and Vicente, "BROJA-2PID: a robust estimator for bivariate partial information
   decomposition", Entropy 20, 2018.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import clarabel
import numpy as np
from jaxtyping import Float64, Int64
from scipy import sparse
from scipy.special import entr

# The program is solved to _TOLERANCE; where rounding stops the solver earlier, _ACCEPTED is the
# largest residual and gap that still counts as a solution. Probabilities below _ROUNDING are zero.
_TOLERANCE = 1e-10
_ACCEPTED = 1e-7
_ROUNDING = 1e-15
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


@dataclass(frozen=True)
class _Cells:
    """Cells (x1, x2, y) where the pair marginals leave room, and the numbers of their marginals.

    `left_mass`, `right_mass` are p(x1, y), p(x2, y); `right_label` is the y of each (x2, y).
    """

    pair: Int64[np.ndarray, " cells"]
    left: Int64[np.ndarray, " cells"]
    right: Int64[np.ndarray, " cells"]
    left_mass: Float64[np.ndarray, " lefts"]
    right_mass: Float64[np.ndarray, " rights"]
    right_label: Int64[np.ndarray, " rights"]


def mutual_information(joint: Float64[np.ndarray, "x y"]) -> float:
    """Return I(X; Y) in bits of the probability table p(x, y).

    Raises
    ------
    ValueError
        If `joint` is no table of probabilities on two axes.
    """
    p = _checked(joint, 2)
    entropies = [float(np.sum(entr(q))) for q in (p.sum(1), p.sum(0), p)]
    return max(0.0, float((entropies[0] + entropies[1] - entropies[2]) / np.log(2)))


def broja(joint: Float64[np.ndarray, "x1 x2 y"]) -> Decomposition:
    """Decompose I(Y; X1, X2) into redundant, unique and synergistic bits after BROJA.

    All parts are non-negative exactly when max(I1, I2) <= I* <= min(I12, I1 + I2), which theory
    guarantees; the solver's I* is moved into that range, by less than 1e-6 bits, and the
    consistency equations hold to rounding.

    Parameters
    ----------
    joint
        Probabilities p(x1, x2, y).

    Raises
    ------
    ValueError
        If `joint` is no table of probabilities on three axes.
    RuntimeError
        If the solver does not reach its tolerance.
    """
    first, second, both = _informations(joint)
    least = _least_information(joint)
    low, high = max(first, second), min(both, first + second)
    if not low - _SLACK <= least <= high + _SLACK:
        found = f"{least:.9f} bits, outside [{low:.9f}, {high:.9f}]"
        raise RuntimeError(f"BROJA: the cone solver found {found}; merge the table's rarest states")
    least = max(low, min(least, high))
    return Decomposition(
        redundant=max(0.0, first + second - least),
        unique1=max(0.0, least - second),
        unique2=max(0.0, least - first),
        synergy=max(0.0, both - least),
    )


def bayes_sis(joint: Float64[np.ndarray, "x1 x2 y"]) -> float:
    """Return the SIS in macro F1 of the Bayes classifiers that see x1, x2 and both.

    A Bayes classifier answers with the most probable label (the first of tied ones); macro F1 is
    over the labels of positive probability.

    Raises
    ------
    ValueError
        If `joint` is no table of probabilities on three axes.
    """
    p = _checked(joint, 3)
    p = p[:, :, p.sum((0, 1)) > 0]
    best = max(_bayes_macro_f1(p.sum(1)), _bayes_macro_f1(p.sum(0)))
    return (_bayes_macro_f1(p.reshape(-1, p.shape[2])) - best) / best


def information_sis(joint: Float64[np.ndarray, "x1 x2 y"]) -> float:
    """Return the SIS in exact mutual information: (I12 - max(I1, I2)) / max(I1, I2).

    Equal to (S + min(U1, U2)) / (R + max(U1, U2)) for every decomposition that satisfies the
    consistency equations. NaN, with a warning, where neither source alone knows anything.

    Raises
    ------
    ValueError
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
    joint: Float64[np.ndarray, "x1 x2 y"],
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
    ValueError
        If `joint` or a confusion is no table of probabilities, or their states differ in number.
    """
    p = _checked(joint, 3)
    for axis, confusion in enumerate((confusion1, confusion2)):
        if confusion.ndim != 2 or confusion.shape[0] != p.shape[axis]:  # noqa: PLR2004
            raise ValueError(
                f"confusion{axis + 1} has shape {confusion.shape}; it needs one row for each of "
                f"the {p.shape[axis]} states of source {axis + 1}"
            )
        if not (np.all(confusion >= 0) and np.allclose(confusion.sum(1), 1, rtol=0, atol=1e-9)):
            raise ValueError(
                f"confusion{axis + 1}: every row must be non-negative and sum to one; divide "
                "counts by their row sums"
            )
    return np.asarray(np.einsum("aby,ai,bj->ijy", p, confusion1, confusion2))


def _informations(joint: Float64[np.ndarray, "x1 x2 y"]) -> tuple[float, float, float]:
    """Return I(Y; X1), I(Y; X2) and I(Y; X1, X2) in bits."""
    p = _checked(joint, 3)
    return (
        mutual_information(p.sum(1)),
        mutual_information(p.sum(0)),
        mutual_information(p.reshape(-1, p.shape[2])),
    )


def _checked(table: Float64[np.ndarray, "..."], axes: int) -> Float64[np.ndarray, "..."]:
    """Return `table` if it holds probabilities on that many axes."""
    if table.ndim != axes:
        raise ValueError(f"a table of {axes} axes is needed, this one has shape {table.shape}")
    if not np.all(np.isfinite(table)) or np.any(table < 0):
        raise ValueError("a probability table must be finite and non-negative everywhere")
    if abs(total := float(table.sum()) - 1) > 1e-9:  # noqa: PLR2004 - rounding of a sum
        raise ValueError(
            f"the probabilities sum to {1 + total:.9g}, not to one; divide counts by their sum"
        )
    return table


def _bayes_macro_f1(p: Float64[np.ndarray, "x y"]) -> float:
    """Return the macro F1 of the most probable label given x."""
    # Probabilities that differ only by the rounding of sums are ties.
    tied = p >= p.max(axis=1, keepdims=True) * (1 - 1e-12)
    answers = np.eye(p.shape[1])[np.argmax(tied, axis=1)]
    hits = np.sum(answers * p, axis=0)
    answered = answers.T @ p.sum(1)
    return float(np.mean(2 * hits / (answered + p.sum(0))))


def _least_information(joint: Float64[np.ndarray, "x1 x2 y"]) -> float:
    """Return I*, the least bits about Y that the pair marginals of `joint` leave possible."""
    cells = _cells(joint)
    n = len(cells.pair)
    cost, constraints, bounds, equalities = _program(cells)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.direct_solve_method = "qdldl"  # one thread: the same bytes on every machine
    for name in ("gap_abs", "gap_rel", "feas"):
        setattr(settings, f"tol_{name}", _TOLERANCE)
        setattr(settings, f"reduced_tol_{name}", _ACCEPTED)
    cones = [clarabel.ZeroConeT(equalities), *[clarabel.ExponentialConeT()] * n]
    quadratic = sparse.csc_matrix((len(cost), len(cost)))
    # The program is homogeneous: a mean mass of one per cell spares the solver tiny numbers.
    solver = clarabel.DefaultSolver(quadratic, cost, constraints, n * bounds, cones, settings)
    solution = solver.solve()
    if solution.status not in (clarabel.SolverStatus.Solved, clarabel.SolverStatus.AlmostSolved):
        end = f"{solution.status} after {solution.iterations} iterations"
        raise RuntimeError(f"BROJA: the cone solver ended {end}; merge the table's rarest states")
    return float((np.sum(entr(joint.sum((0, 1)))) + solution.obj_val / n) / np.log(2))


def _cells(joint: Float64[np.ndarray, "x1 x2 y"]) -> _Cells:
    """List the cells whose two pair marginals are positive: a q > 0 on all of them exists."""
    left, right = joint.sum(1), joint.sum(0)
    open_left, open_right = left > _ROUNDING, right > _ROUNDING
    x1, x2, y = np.nonzero(open_left[:, None] & open_right[None])
    n2, ny = right.shape
    lefts, rights = np.flatnonzero(open_left), np.flatnonzero(open_right)
    return _Cells(
        pair=np.unique(x1 * n2 + x2, return_inverse=True)[1],
        left=np.searchsorted(lefts, x1 * ny + y),
        right=np.searchsorted(rights, x2 * ny + y),
        left_mass=left.ravel()[lefts],
        right_mass=right.ravel()[rights],
        right_label=rights % ny,
    )


def _program(
    cells: _Cells,
) -> tuple[Float64[np.ndarray, " variables"], sparse.csc_matrix, Float64[np.ndarray, " rows"], int]:
    """Return cost, constraints, bounds and number of equalities of: largest H(Y | X1, X2), in nats.

    Variables are q(x1, x2, y), one r per cell and t(x1, x2); the cone of a cell holds (r, q, t),
    that is r <= q log(t / q), and minus the sum of r is minimised.
    """
    n = len(cells.pair)
    # For each label both marginals give p(y): one of its rows is implied by the others.
    implied = np.unique(cells.right_label, return_index=True)[1]
    free = np.setdiff1d(np.arange(len(cells.right_mass)), implied)
    pairs = _sums(cells.pair)
    k = pairs.shape[0]
    every_third = sparse.csr_array(np.eye(3))
    r, q, t = (sparse.kron(sparse.eye_array(n), every_third[[i]].T) for i in range(3))
    blocks: list[list[Any]] = [
        [_sums(cells.left), None, None],
        [_sums(cells.right)[free], None, None],
        [pairs, None, -sparse.eye_array(k)],
        [-q, -r, -t @ pairs.T],
    ]
    fixed = np.concatenate([cells.left_mass, cells.right_mass[free]])
    cost = np.concatenate([np.zeros(n), -np.ones(n), np.zeros(k)])
    bounds = np.concatenate([fixed, np.zeros(k + 3 * n)])
    return cost, sparse.csc_matrix(sparse.block_array(blocks)), bounds, len(fixed) + k


def _sums(groups: Int64[np.ndarray, " cells"]) -> sparse.csr_array:
    """Return the matrix that adds up the cells of each group."""
    return sparse.csr_array((np.ones(len(groups)), (groups, np.arange(len(groups)))))
