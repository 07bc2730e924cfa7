"""The smaller of two differences: estimate, interval and p value of one rule."""

import numpy as np
import pytest

from cell_synergy.scoring.gains import largest_p, smaller_gain
from cell_synergy.scoring.inference import donor_interval, ratio_interval, sign_flip


def differences(donors=7, methods=3, seed=0):
    return np.random.default_rng(seed).normal(0.02, 0.04, (2, donors, methods))


def test_the_estimate_is_the_smaller_difference_and_limits_are_the_smaller_limits():
    both = differences()
    gain = smaller_gain(both, None, cross_validated=False)
    first, second = (donor_interval(each, cross_validated=False) for each in both)
    means = both.mean(axis=1)
    np.testing.assert_allclose(gain.value, np.minimum(*means))
    np.testing.assert_array_equal(gain.limiting, (means[1] < means[0]).astype(int))
    np.testing.assert_allclose(gain.interval.low, np.minimum(first.low, second.low))
    np.testing.assert_allclose(gain.interval.high, np.minimum(first.high, second.high))
    assert ((gain.interval.low <= gain.value) & (gain.value <= gain.interval.high)).all()


def test_a_share_is_a_ratio_of_donor_means():
    both, entropy = differences(), np.random.default_rng(1).uniform(1, 2, 7)
    gain = smaller_gain(both, entropy, cross_validated=True)
    np.testing.assert_allclose(gain.value, both.mean(axis=1).min(axis=0) / entropy.mean())
    ratios = [ratio_interval(each, entropy, cross_validated=True) for each in both]
    np.testing.assert_allclose(gain.interval.low, np.minimum(ratios[0].low, ratios[1].low))


def test_the_p_value_is_the_larger_one():
    both, compared = differences(), np.array([True, True, False])
    result = largest_p(both, compared, cross_validated=False)
    first, second = (sign_flip(each, compared, 1.0) for each in both)
    np.testing.assert_array_equal(
        result.uncorrected, np.maximum(first.uncorrected, second.uncorrected)
    )
    np.testing.assert_array_equal(result.corrected, np.maximum(first.corrected, second.corrected))
    assert np.isnan(result.corrected[2])


def test_cases_are_evaluated_together_as_apart():
    many = np.stack([differences(seed=seed) for seed in range(4)])
    entropy, compared = np.random.default_rng(1).uniform(1, 2, (4, 7)), np.ones(3, dtype=bool)
    gain = smaller_gain(many, entropy, cross_validated=True)
    p = largest_p(many, compared, cross_validated=True)
    for case in range(4):
        alone = smaller_gain(many[case], entropy[case], cross_validated=True)
        np.testing.assert_allclose(gain.value[case], alone.value)
        np.testing.assert_allclose(gain.interval.high[case], alone.interval.high)
        np.testing.assert_array_equal(gain.limiting[case], alone.limiting)
        apart = largest_p(many[case], compared, cross_validated=True)
        np.testing.assert_array_equal(p.corrected[case], apart.corrected)


def test_few_donors_have_estimates_only():
    gain = smaller_gain(differences(donors=4), None, cross_validated=False)
    p = largest_p(differences(donors=4), np.ones(3, dtype=bool), cross_validated=False)
    assert np.isfinite(gain.value).all()
    assert np.isnan([gain.interval.low, gain.interval.high, p.uncorrected, p.corrected]).all()


@pytest.mark.parametrize("difference", [0.0, 0.01, 0.05])
def test_intervals_cover_the_truth_at_ties_and_apart(difference):
    rng, cases = np.random.default_rng(7), 4000
    experts = 0.02 * rng.standard_normal((cases, 2, 7, 1))
    experts[:, 1] -= difference
    method = 0.04 * rng.standard_normal((cases, 1, 7, 1))
    both = method - experts
    gain = smaller_gain(both, None, cross_validated=False)
    covered = (gain.interval.low <= 0) & (gain.interval.high >= 0)
    assert 0.94 < covered.mean() < 0.97
    bias = gain.value.mean()
    assert -0.006 < bias < (-0.003 if difference == 0 else 0.001)
