"""Synergy planted at a known distance is found there, and nowhere else."""

import numpy as np
import pytest

from benchmarks import planted


def test_the_rule_is_the_only_difference_between_the_two_tissues():
    with_rule, without = (planted.paired(0, planted=rule) for rule in (True, False))
    ring = np.tile(planted.nodule()[1], len(with_rule.donor) // len(planted.nodule()[1]))
    same = (with_rule.adata.obs["label"] == without.adata.obs["label"]).to_numpy()
    assert same[ring != planted.PLANTED].all()
    assert not same[ring == planted.PLANTED].all()
    other = ~same
    assert np.array_equal(with_rule.image[~other], without.image[~other])
    assert np.array_equal(with_rule.expression[:, 1:], without.expression[:, 1:])


@pytest.mark.slow
def test_the_excess_peaks_in_the_planted_band_and_is_null_beyond_one_ring():
    found = planted.excess(seed=0)
    for _, rows in found.groupby("measure"):
        excess, low = (rows.set_index("band")[column] for column in ("excess", "low"))
        peak = planted.PLANTED + 1  # bands are counted from 1, and the first is the core's
        assert excess.idxmax() == peak
        assert low[peak] > 0.05
        beyond = excess[abs(excess.index.to_numpy() - peak) > 1]
        assert len(beyond) == 2
        assert abs(beyond).max() < excess[peak] / 8
