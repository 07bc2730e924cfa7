"""The least information that two sources' pair marginals with a label leave possible.

Any q(x1, x2, y) with the given q(x1, y) and q(x2, y) holds at least I* bits about the label; I* is
the R + U1 + U2 of BROJA [1]_. The minimum is an exponential-cone program [2]_, solved here by an
interior-point method without random starts. Its dual solution says how I* changes with the
marginals.

References
----------
.. [1] Bertschinger, Rauh, Olbrich, Jost and Ay, "Quantifying unique information", Entropy 16, 2014.
.. [2] Makkeh, Theis and Vicente, "BROJA-2PID: a robust estimator for bivariate partial information
   decomposition", Entropy 20, 2018.
"""

from dataclasses import dataclass
from typing import Any

import clarabel
import numpy as np
from jaxtyping import Float64, Int64, Real, Shaped
from scipy import sparse
from scipy.special import entr

from cell_synergy.core.errors import DataError

# The program is solved to _TOLERANCE; where rounding stops the solver earlier, _ACCEPTED is the
# largest residual and gap that still counts as a solution. Probabilities below _ROUNDING are zero.
# A step goes this share of the way to the edge of the cone: the next one where the first fails.
_TOLERANCE = 1e-10
_ACCEPTED = 1e-7
_ROUNDING = 1e-15
_STEPS = 0.95, 0.8, 0.6


@dataclass(frozen=True)
class Least:
    """The least information I* that pair marginals leave possible, and what it changes with.

    Attributes
    ----------
    bits
        I*.
    prices1, prices2
        Bits per probability of each (x1, y) and (x2, y): the dual solution of the program.
    """

    bits: float
    prices1: Float64[np.ndarray, "x1 y"]
    prices2: Float64[np.ndarray, "x2 y"]

    def bound(self, p1: Float64[np.ndarray, "x1 y"], p2: Float64[np.ndarray, "x2 y"]) -> float:
        """Return I* in bits of other pair marginals, nowhere else positive, to first order.

        I* itself is not lower.
        """
        entropy = float(np.sum(entr(p1.sum(0))) / np.log(2))
        return entropy + float(np.vdot(self.prices1, p1) + np.vdot(self.prices2, p2))


@dataclass(frozen=True)
class _Cells:
    """Cells (x1, x2, y) where the pair marginals leave room, and the numbers of their marginals.

    `lefts`, `rights` are the places of positive p(x1, y), p(x2, y), and `left_mass`, `right_mass`
    these; of `rights` only the `free` ones are no consequence of the others.
    """

    pair: Int64[np.ndarray, " cells"]
    left: Int64[np.ndarray, " cells"]
    right: Int64[np.ndarray, " cells"]
    lefts: Int64[np.ndarray, " lefts"]
    rights: Int64[np.ndarray, " rights"]
    left_mass: Float64[np.ndarray, " lefts"]
    right_mass: Float64[np.ndarray, " rights"]
    free: Int64[np.ndarray, " free"]


def least_information(joint: Real[np.ndarray, "x1 x2 y"]) -> Least:
    """Return I*, the least bits about Y that the pair marginals of `joint` leave possible.

    Raises
    ------
    DataError
        If `joint` is no table of probabilities on three axes.
    RuntimeError
        If the solver does not reach its tolerance.
    """
    joint = checked(joint, 3)
    cells = _cells(joint)
    value, dual = _solved(cells)
    entropy = float(np.sum(entr(joint.sum((0, 1)))))
    prices = [np.zeros(joint.sum(axis).shape) for axis in (1, 0)]
    lefts = len(cells.lefts)
    prices[0].flat[cells.lefts] = -dual[:lefts] / np.log(2)
    prices[1].flat[cells.rights[cells.free]] = -dual[lefts : lefts + len(cells.free)] / np.log(2)
    return Least((entropy + value) / np.log(2), *prices)


def checked(table: Shaped[np.ndarray, "..."], axes: int) -> Float64[np.ndarray, "..."]:
    """Return `table` if it holds probabilities on that many axes.

    Raises
    ------
    DataError
        If it does not.
    """
    table = np.asarray(table)
    if table.ndim != axes:
        raise DataError(
            f"a table of {axes} axes is needed, this one has shape {table.shape}; give one axis "
            "for each variable, and of more than two sources put all but one together"
        )
    if table.dtype.kind not in "fiub":
        raise DataError(f"a probability table is of numbers, not of {table.dtype}")
    table = table.astype(np.float64, copy=False)
    if not np.all(np.isfinite(table)) or np.any(table < 0):
        place = np.argwhere(~(np.isfinite(table) & (table >= 0)))[0].tolist()
        raise DataError(
            "a probability table must be finite and non-negative everywhere; "
            f"at {place} it is {table[tuple(place)]:g}"
        )
    if abs(total := float(table.sum()) - 1) > 1e-9:  # noqa: PLR2004 - rounding of a sum
        raise DataError(
            f"the probabilities sum to {1 + total:.9g}, not to one; divide counts by their sum"
        )
    return table


def _cells(joint: Float64[np.ndarray, "x1 x2 y"]) -> _Cells:
    """List the cells whose two pair marginals are positive: a q > 0 on all of them exists."""
    left, right = joint.sum(1), joint.sum(0)
    open_left, open_right = left > _ROUNDING, right > _ROUNDING
    x1, x2, y = np.nonzero(open_left[:, None] & open_right[None])
    n2, ny = right.shape
    lefts, rights = np.flatnonzero(open_left), np.flatnonzero(open_right)
    # For each label both marginals give p(y): one of its rows is implied by the others.
    implied = np.unique(rights % ny, return_index=True)[1]
    return _Cells(
        pair=np.unique(x1 * n2 + x2, return_inverse=True)[1],
        left=np.searchsorted(lefts, x1 * ny + y),
        right=np.searchsorted(rights, x2 * ny + y),
        lefts=lefts,
        rights=rights,
        left_mass=left.ravel()[lefts],
        right_mass=right.ravel()[rights],
        free=np.setdiff1d(np.arange(len(rights)), implied),
    )


def _solved(cells: _Cells) -> tuple[float, Float64[np.ndarray, " rows"]]:
    """Return the least -H(Y | X1, X2), in nats, and the dual solution.

    Where rounding stops the solver before the solution, shorter steps lead there.
    """
    n = len(cells.pair)
    cost, constraints, bounds, equalities = _program(cells)
    cones = [clarabel.ZeroConeT(equalities), *[clarabel.ExponentialConeT()] * n]
    quadratic = sparse.csc_matrix((len(cost), len(cost)))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.direct_solve_method = "qdldl"  # one thread: the same bytes on every machine
    for name in ("gap_abs", "gap_rel", "feas"):
        setattr(settings, f"tol_{name}", _TOLERANCE)
        setattr(settings, f"reduced_tol_{name}", _ACCEPTED)
    for step in _STEPS:
        settings.max_step_fraction = step
        # The program is homogeneous: a mean mass of one per cell spares the solver tiny numbers.
        solver = clarabel.DefaultSolver(quadratic, cost, constraints, n * bounds, cones, settings)
        solution = solver.solve()
        if solution.status in (clarabel.SolverStatus.Solved, clarabel.SolverStatus.AlmostSolved):
            return solution.obj_val / n, np.array(solution.z)
    end = f"{solution.status} after {solution.iterations} iterations"
    raise RuntimeError(f"BROJA: the cone solver ended {end}; merge the table's rarest states")


def _program(
    cells: _Cells,
) -> tuple[Float64[np.ndarray, " variables"], sparse.csc_matrix, Float64[np.ndarray, " rows"], int]:
    """Return cost, constraints, bounds and number of equalities of: largest H(Y | X1, X2), in nats.

    Variables are q(x1, x2, y), one r per cell and t(x1, x2); the cone of a cell holds (r, q, t),
    that is r <= q log(t / q), and minus the sum of r is minimised.
    """
    n = len(cells.pair)
    pairs = _sums(cells.pair)
    k = pairs.shape[0]
    every_third = sparse.csr_array(np.eye(3))
    r, q, t = (sparse.kron(sparse.eye_array(n), every_third[[i]].T) for i in range(3))
    blocks: list[list[Any]] = [
        [_sums(cells.left), None, None],
        [_sums(cells.right)[cells.free], None, None],
        [pairs, None, -sparse.eye_array(k)],
        [-q, -r, -t @ pairs.T],
    ]
    fixed = np.concatenate([cells.left_mass, cells.right_mass[cells.free]])
    cost = np.concatenate([np.zeros(n), -np.ones(n), np.zeros(k)])
    bounds = np.concatenate([fixed, np.zeros(k + 3 * n)])
    return cost, sparse.csc_matrix(sparse.block_array(blocks)), bounds, len(fixed) + k


def _sums(groups: Int64[np.ndarray, " cells"]) -> sparse.csr_array:
    """Return the matrix that adds up the cells of each group."""
    return sparse.csr_array((np.ones(len(groups)), (groups, np.arange(len(groups)))))
