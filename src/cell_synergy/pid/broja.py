"""The union information of BROJA, computed by an exponential-cone program.

Among all distributions q(x1, x2, y) with given pair marginals q(x1, y) and q(x2, y), the smallest
mutual information I(Y; X1, X2) is the union information I* = R + U1 + U2 of BROJA [1]_. The
minimum is an exponential-cone program [2]_, solved here by an interior-point method, which needs no
random starting points. Its dual variables are the derivatives of -H(Y | X1, X2) at the minimum in
the pair marginals.

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

# Residuals and duality gap are at most _TOLERANCE, or _ACCEPTED if rounding errors stop the solver
# earlier. Probabilities below _ROUNDING count as zero. Steps have at most the first of _STEPS as a
# share of the distance to the boundary of the cone; if the solver fails, the next share is tried.
_TOLERANCE = 1e-10
_ACCEPTED = 1e-7
_ROUNDING = 1e-15
_STEPS = 0.95, 0.8, 0.6


@dataclass(frozen=True)
class BrojaSolution:
    """Solution of the BROJA program for one table.

    Attributes
    ----------
    bits
        Union information I*, in bits.
    duals1, duals2
        Derivatives of -H(Y | X1, X2) at the minimum in the marginals of (x1, y) and (x2, y), in
        bits; 0 where a marginal is 0 or its constraint is redundant.
    """

    bits: float
    duals1: Float64[np.ndarray, "x1 y"]
    duals2: Float64[np.ndarray, "x2 y"]

    def bound(self, p1: Float64[np.ndarray, "x1 y"], p2: Float64[np.ndarray, "x2 y"]) -> float:
        """Return a lower bound, in bits, on the union information I* of other pair marginals.

        I* = H(Y) + min -H(Y | X1, X2): the entropy is exact, and the minimum, which is convex in
        the marginals, is bounded from below by its tangent at the solved marginals.

        Parameters
        ----------
        p1, p2
            The other marginals: probabilities of (x1, y) and of (x2, y), zero where the solved
            marginals are zero.
        """
        entropy = float(np.sum(entr(p1.sum(0))) / np.log(2))
        return entropy + float(np.vdot(self.duals1, p1) + np.vdot(self.duals2, p2))


@dataclass(frozen=True)
class _Support:
    """Cells (x1, x2, y) of the table in which both pair marginals are positive.

    Attributes
    ----------
    pair
        Index of the pair (x1, x2) of each cell.
    left, right
        Positions of each cell's (x1, y) in `left_cells` and of its (x2, y) in `right_cells`.
    left_cells, right_cells
        Flat indices of the positive entries of p(x1, y) and p(x2, y).
    left_mass, right_mass
        Probabilities at `left_cells` and at `right_cells`.
    free
        Indices into `right_cells` of the constraints that do not follow from the others.
    """

    pair: Int64[np.ndarray, " cells"]
    left: Int64[np.ndarray, " cells"]
    right: Int64[np.ndarray, " cells"]
    left_cells: Int64[np.ndarray, " lefts"]
    right_cells: Int64[np.ndarray, " rights"]
    left_mass: Float64[np.ndarray, " lefts"]
    right_mass: Float64[np.ndarray, " rights"]
    free: Int64[np.ndarray, " free"]


def solve_broja(joint: Real[np.ndarray, "x1 x2 y"]) -> BrojaSolution:
    """Return the union information of a joint distribution and its dual variables.

    Parameters
    ----------
    joint
        Probabilities p(x1, x2, y) of the states of two sources and the label.

    Raises
    ------
    DataError
        If `joint` is not a probability table of three axes.
    RuntimeError
        If the solver does not reach its tolerance.
    """
    joint = validated(joint, 3)
    support = _support(joint)
    value, dual = _solve(support)
    entropy = float(np.sum(entr(joint.sum((0, 1)))))
    duals = [np.zeros(joint.sum(axis).shape) for axis in (1, 0)]
    split = len(support.left_cells)
    right_free = support.right_cells[support.free]
    duals[0].flat[support.left_cells] = -dual[:split] / np.log(2)
    duals[1].flat[right_free] = -dual[split : split + len(right_free)] / np.log(2)
    return BrojaSolution((entropy + value) / np.log(2), *duals)


def validated(table: Shaped[np.ndarray, "..."], axes: int) -> Float64[np.ndarray, "..."]:
    """Return a probability table in double precision, after checks of shape and entries.

    Parameters
    ----------
    table
        Probabilities.
    axes
        Required number of axes.

    Raises
    ------
    DataError
        If the number of axes differs, an entry is no number, negative or not finite, or the sum
        differs from one by more than 1e-9.
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
        index = np.argwhere(~(np.isfinite(table) & (table >= 0)))[0].tolist()
        raise DataError(
            "a probability table must be finite and non-negative everywhere; "
            f"at {index} it is {table[tuple(index)]:g}"
        )
    if abs(excess := float(table.sum()) - 1) > 1e-9:  # noqa: PLR2004 - rounding of a sum
        raise DataError(
            f"the probabilities sum to {1 + excess:.9g}, not to one; divide counts by their sum"
        )
    return table


def _support(joint: Float64[np.ndarray, "x1 x2 y"]) -> _Support:
    """Return the cells in which both pair marginals are positive, and their constraints."""
    left, right = joint.sum(1), joint.sum(0)
    left_positive, right_positive = left > _ROUNDING, right > _ROUNDING
    x1, x2, y = np.nonzero(left_positive[:, None] & right_positive[None])
    n2, ny = right.shape
    left_cells, right_cells = np.flatnonzero(left_positive), np.flatnonzero(right_positive)
    # Both marginals determine p(y), so that one constraint on (x2, y) is redundant for each label.
    redundant = np.unique(right_cells % ny, return_index=True)[1]
    return _Support(
        pair=np.unique(x1 * n2 + x2, return_inverse=True)[1],
        left=np.searchsorted(left_cells, x1 * ny + y),
        right=np.searchsorted(right_cells, x2 * ny + y),
        left_cells=left_cells,
        right_cells=right_cells,
        left_mass=left.ravel()[left_cells],
        right_mass=right.ravel()[right_cells],
        free=np.setdiff1d(np.arange(len(right_cells)), redundant),
    )


def _solve(support: _Support) -> tuple[float, Float64[np.ndarray, " rows"]]:
    """Return the minimum of -H(Y | X1, X2), in nats, and the dual solution.

    If rounding errors stop the solver early, it is run again with shorter steps.
    """
    n = len(support.pair)
    cost, constraints, bounds, equalities = _program(support)
    cones = [clarabel.ZeroConeT(equalities), *[clarabel.ExponentialConeT()] * n]
    quadratic = sparse.csc_matrix((len(cost), len(cost)))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.direct_solve_method = "qdldl"  # single-threaded: the same bytes on every machine
    for name in ("gap_abs", "gap_rel", "feas"):
        setattr(settings, f"tol_{name}", _TOLERANCE)
        setattr(settings, f"reduced_tol_{name}", _ACCEPTED)
    for step in _STEPS:
        settings.max_step_fraction = step
        # The program is homogeneous. It is scaled to a mean mass of one per cell, since the solver
        # loses precision for small numbers.
        solver = clarabel.DefaultSolver(quadratic, cost, constraints, n * bounds, cones, settings)
        solution = solver.solve()
        if solution.status in (clarabel.SolverStatus.Solved, clarabel.SolverStatus.AlmostSolved):
            return solution.obj_val / n, np.array(solution.z)
    end = f"{solution.status} after {solution.iterations} iterations"
    raise RuntimeError(f"BROJA: the cone solver ended {end}; merge the table's rarest states")


def _program(
    support: _Support,
) -> tuple[Float64[np.ndarray, " variables"], sparse.csc_matrix, Float64[np.ndarray, " rows"], int]:
    """Return cost, constraints, bounds and number of equalities of the program, in nats.

    The program maximises H(Y | X1, X2). Its variables are q(x1, x2, y), one r per cell and
    t(x1, x2). The exponential cone of a cell requires r <= q log(t / q); minus the sum of r is
    minimised.
    """
    n = len(support.pair)
    pairs = _sums(support.pair)
    k = pairs.shape[0]
    basis = sparse.csr_array(np.eye(3))
    r, q, t = (sparse.kron(sparse.eye_array(n), basis[[i]].T) for i in range(3))
    blocks: list[list[Any]] = [
        [_sums(support.left), None, None],
        [_sums(support.right)[support.free], None, None],
        [pairs, None, -sparse.eye_array(k)],
        [-q, -r, -t @ pairs.T],
    ]
    masses = np.concatenate([support.left_mass, support.right_mass[support.free]])
    cost = np.concatenate([np.zeros(n), -np.ones(n), np.zeros(k)])
    bounds = np.concatenate([masses, np.zeros(k + 3 * n)])
    return cost, sparse.csc_matrix(sparse.block_array(blocks)), bounds, len(masses) + k


def _sums(groups: Int64[np.ndarray, " cells"]) -> sparse.csr_array:
    """Return the matrix that sums over the cells of each group: (groups, cells)."""
    return sparse.csr_array((np.ones(len(groups)), (groups, np.arange(len(groups)))))
