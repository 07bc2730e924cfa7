"""Cells and their tables: what they keep, what they lose, what they are made to hold."""

import numpy as np
import pytest
from scipy.special import softmax

from cell_synergy.downstream.information.clustering import gathered, holding
from cell_synergy.pid.discrete import mutual_information


@pytest.fixture
def posterior():
    return softmax(2 * np.random.default_rng(0).standard_normal((400, 4)), axis=1)


def lost(posterior, weights, cell):
    joint = weights[:, None] * posterior
    kept = np.eye(cell.max() + 1)[cell].T @ joint
    return mutual_information(joint) - mutual_information(kept)


def test_units_with_the_same_posterior_share_a_cell_and_no_others():
    kinds = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    kind = np.random.default_rng(1).integers(3, size=100)
    cell = gathered(kinds[kind], np.full(100, 0.01), 8)
    assert len(np.unique(cell)) == 3
    assert len(np.unique(np.stack([cell, kind]), axis=1).T) == 3


def test_units_that_are_all_alike_are_one_cell():
    assert not gathered(np.full((50, 3), 1 / 3), np.full(50, 0.02), 8).any()


def test_more_cells_lose_less_and_eight_keep_most(posterior):
    weights = np.full(400, 1 / 400)
    losses = [lost(posterior, weights, gathered(posterior, weights, n)) for n in (2, 4, 8, 16)]
    assert losses == sorted(losses, reverse=True)
    assert losses[2] < 0.25 * mutual_information(posterior / 400)


def test_units_are_in_the_cell_that_costs_least(posterior):
    weights = np.random.default_rng(2).dirichlet(np.ones(400))
    cell = gathered(posterior, weights, 6)
    best = lost(posterior, weights, cell)
    for unit in range(0, 400, 40):
        for other in range(6):
            moved = cell.copy()
            moved[unit] = other
            assert lost(posterior, weights, moved) > best - 1e-5


def test_the_order_of_units_changes_nothing_but_names(posterior):
    weights, order = np.full(400, 1 / 400), np.random.default_rng(3).permutation(400)
    one, other = (
        gathered(posterior, weights, 6)[order],
        gathered(posterior[order], weights, 6),
    )
    assert len(np.unique(np.stack([one, other]), axis=1).T) == 6


MASSES = np.random.default_rng(4).dirichlet(np.full(15, 0.4)).reshape(5, 3)
SHARES = np.array([0.5, 0.3, 0.2])


@pytest.mark.parametrize("bits", [0.01, 0.3, 0.9])
def test_a_table_holds_the_bits_asked_for_and_keeps_its_margins(bits):
    table = holding(bits, MASSES, SHARES)
    assert mutual_information(table) == pytest.approx(bits, abs=1e-9)
    assert table.sum(axis=0) == pytest.approx(SHARES, abs=1e-12)
    assert table.sum(axis=1) == pytest.approx(MASSES.sum(axis=1), abs=1e-3)


@pytest.mark.parametrize("bits", [0.0, -0.1])
def test_a_table_without_bits_is_independent(bits):
    expected = np.outer(MASSES.sum(axis=1), SHARES)
    assert holding(bits, MASSES, SHARES) == pytest.approx(expected, abs=1e-12)


def test_a_table_asked_for_its_own_bits_stays_as_it_is():
    own = holding(mutual_information(MASSES), MASSES, MASSES.sum(axis=0))
    assert own == pytest.approx(MASSES, abs=1e-6)


def test_a_table_asked_for_more_than_it_can_hold_holds_nearly_all():
    assert 1.0 < mutual_information(holding(5.0, MASSES, SHARES)) < np.log2(3)
