import numpy as np
import pytest

from cell_synergy.core.permutation import within_donor_permutation
from cell_synergy.core.random import stream


@pytest.fixture
def donor():
    return np.array(["B", "A", "B", "B", "C", "A", "B"])


def test_every_row_is_replaced_by_a_row_of_its_donor_and_used_once(donor):
    order = within_donor_permutation(donor, np.random.default_rng(0))
    np.testing.assert_array_equal(donor[order], donor)
    np.testing.assert_array_equal(np.sort(order), np.arange(7))


def test_donors_draw_in_sorted_order_from_one_generator(donor):
    order = within_donor_permutation(donor, stream(3, "shuffled pairs"))
    rng = stream(3, "shuffled pairs")
    np.testing.assert_array_equal(order[[1, 5]], rng.permutation([1, 5]))
    np.testing.assert_array_equal(order[[0, 2, 3, 6]], rng.permutation([0, 2, 3, 6]))
    assert order[4] == 4


def test_permutations_of_a_donor_are_uniform():
    rng = np.random.default_rng(0)
    drawn = [tuple(within_donor_permutation(np.zeros(3), rng)) for _ in range(6000)]
    permutations, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(permutations) == 6
    assert abs(counts - 1000).max() < 150  # five standard deviations
