"""The cone program's value against closed forms, and its duals against other tables' values."""

from types import SimpleNamespace

import clarabel
import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.pid import broja as module
from cell_synergy.pid.broja import solve_broja, validated
from cell_synergy.pid.discrete import mutual_information


def random_table(seed, shape=(4, 3, 3)):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(np.prod(shape), 0.5)).reshape(shape)


def marginals(joint):
    return joint.sum(1), joint.sum(0)


def test_a_source_that_tells_nothing_leaves_what_the_other_tells():
    joint = random_table(0).sum(1)[:, None] * np.array([0.2, 0.8])[:, None]
    assert solve_broja(joint).bits == pytest.approx(mutual_information(joint.sum(1)), abs=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_duals_of_a_table_add_up_to_its_union_information(seed):
    joint = random_table(seed)
    least = solve_broja(joint)
    assert least.bound(*marginals(joint)) == pytest.approx(least.bits, abs=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_on_other_tables_is_a_lower_one_and_exact_to_first_order(seed):
    joint, other = random_table(seed), random_table(seed + 10)
    least = solve_broja(joint)
    excess = []
    for share in (0.04, 0.02, 0.01):
        moved = (1 - share) * joint + share * other
        excess.append(solve_broja(moved).bits - least.bound(*marginals(moved)))
    assert min(excess) > 0
    assert excess[1] < excess[0] / 3
    assert excess[2] < excess[1] / 3


def test_states_of_probability_zero_have_duals_of_zero():
    joint = random_table(1)
    padded = np.pad(joint, ((0, 1), (1, 0), (1, 1)))
    least = solve_broja(padded)
    assert least.bits == pytest.approx(solve_broja(joint).bits, abs=1e-8)
    assert not least.duals1[4].any()
    assert not least.duals2[:, 0].any()


def test_a_solver_that_stops_early_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "_TOLERANCE", 1e-30)
    monkeypatch.setattr(module, "_ACCEPTED", 1e-30)
    with pytest.raises(RuntimeError, match="cone solver ended"):
        solve_broja(random_table(8))


def test_where_the_solver_fails_it_tries_shorter_steps(monkeypatch):
    expected = solve_broja(random_table(2)).bits
    solver, tried = clarabel.DefaultSolver, []

    def failing_once(*arguments):
        tried.append(arguments[-1].max_step_fraction)
        failed = SimpleNamespace(status="NumericalError", iterations=3)
        return SimpleNamespace(solve=lambda: failed) if len(tried) == 1 else solver(*arguments)

    monkeypatch.setattr(clarabel, "DefaultSolver", failing_once)
    assert solve_broja(random_table(2)).bits == pytest.approx(expected, abs=1e-8)
    assert len(tried) == 2
    assert tried[1] < tried[0]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.full((2, 2), 0.25), "3 axes"),
        (np.full((2, 2, 2), 0.25), "sum to 2"),
        (np.array([[[1.5, -0.5]]]), "non-negative"),
        (np.array([[[1.0, np.nan]]]), r"finite .*; at \[0, 0, 1\] it is nan"),
        (np.array([[[1.0, np.inf]]]), r"finite .*; at \[0, 0, 1\] it is inf"),
        (np.array([[[1.5], [-0.5]]]), r"non-negative .*; at \[0, 1, 0\] it is -0\.5"),
        (np.zeros((2, 2, 2)), "sum to 0, not to one"),
        (np.zeros((0, 2, 2)), "sum to 0, not to one"),
        (np.array([[[3, 5], [2, 0]]]), "sum to 10, not to one; divide counts by their sum"),
        (np.full((2, 2, 2, 2), 1 / 16), "of more than two sources put all but one together"),
        (np.array([[["a"]]]), "is of numbers, not of <U1"),
        (np.array([[[1j]]]), "is of numbers, not of complex128"),
        (np.array(1.0), r"this one has shape \(\)"),
    ],
)
def test_a_table_without_probabilities_is_refused(bad, reason):
    with pytest.raises(DataError, match=reason):
        validated(bad, 3)
