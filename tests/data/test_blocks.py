from itertools import pairwise

import numpy as np
import pytest

from cell_synergy.data import blocks


def _lattice(columns, rows, pitch=100.0):
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    return pitch * np.column_stack([x.ravel(), y.ravel()]).astype(float)


def test_blocks_are_stripes_along_the_longer_axis_with_a_gap():
    places = _lattice(12, 3)
    found = blocks.assign_blocks(places, 3, 150.0)
    # cuts at 350 and 750 um; columns at 300, 400, 700 and 800 um lie 50 um from one
    assert found.reshape(3, 12).tolist() == [[1, 1, 1, 0, 0, 2, 2, 0, 0, 3, 3, 3]] * 3
    np.testing.assert_array_equal(blocks.assign_blocks(places[:, ::-1], 3, 150.0), found)


def test_a_gap_of_the_pitch_drops_nothing_where_a_cut_falls_between_columns():
    found = blocks.assign_blocks(_lattice(12, 3), 3, 100.0)
    assert np.bincount(found, minlength=4).tolist() == [0, 12, 12, 12]


def test_a_cut_through_a_column_drops_it():
    found = blocks.assign_blocks(
        _lattice(9, 3), 2, 100.0
    )  # 27 units: the 13th and 14th lie at 400 um
    assert found.reshape(3, 9)[0].tolist() == [1, 1, 1, 1, 0, 2, 2, 2, 2]


@pytest.mark.parametrize("gap", [0.05, 0.2, 1.0])
def test_units_of_two_blocks_lie_a_gap_apart(gap):
    rng = np.random.default_rng(0)
    places = rng.uniform(0, [10, 4], (500, 2))
    found = blocks.assign_blocks(places, 5, gap)
    ends = [(places[found == b, 0].min(), places[found == b, 0].max()) for b in range(1, 6)]
    for (_, last), (first, _) in pairwise(ends):
        assert first - last >= gap
    uncut = blocks.assign_blocks(places, 5, 1e-9)
    assert np.ptp(np.bincount(uncut)[1:]) <= 1


def test_a_block_that_the_gaps_leave_nothing_is_missing():
    found = blocks.assign_blocks(_lattice(6, 2), 3, 250.0)
    assert set(found) == {0, 1, 3}
    assert set(blocks.assign_blocks(np.zeros((2, 2)), 5, 1.0)) <= {0}
