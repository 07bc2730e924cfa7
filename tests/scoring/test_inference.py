"""Inference over donors, against scipy, brute force and cases that can be solved."""

import itertools

import numpy as np
import pytest
from scipy import stats

from cell_synergy.scoring.inference import (
    EXACT_DONORS,
    donor_interval,
    inflation,
    is_positive,
    jackknife_t,
    not_testable,
    paired_t,
    ratio_interval,
    ratio_t,
    sign_flip,
)


def gains(donors, methods, seed=0):
    return np.random.default_rng(seed).normal(0.02, 0.04, (donors, methods))


def bests(donors, seed=1):
    return np.random.default_rng(seed).uniform(0.5, 0.8, donors)


def all_compared(methods):
    return np.ones(methods, dtype=bool)


@pytest.mark.parametrize("donors", [5, 7, 20])
def test_the_interval_of_the_gain_is_that_of_the_paired_t_test(donors):
    gain, best = gains(donors, 3), bests(donors)
    result = paired_t(gain)
    for method in range(3):
        paired = stats.ttest_rel(best + gain[:, method], best).confidence_interval(0.95)
        assert result.low[method] == pytest.approx(paired.low, rel=1e-9)
        assert result.high[method] == pytest.approx(paired.high, rel=1e-9)


def test_the_jackknife_of_a_mean_is_the_t_interval():
    gain = gains(7, 4)
    without = np.array([np.delete(gain, donor, axis=0).mean(axis=0) for donor in range(7)])
    result, expected = jackknife_t(gain.mean(axis=0), without), paired_t(gain)
    np.testing.assert_allclose(result.low, expected.low)
    np.testing.assert_allclose(result.high, expected.high)


def test_the_interval_of_the_ratio_leaves_out_one_donor_after_the_other():
    gain, best = gains(7, 2), bests(7)
    result = ratio_t(gain, best)
    for method in range(2):
        value = gain[:, method].mean() / best.mean()
        left = [np.delete(gain[:, method], d).mean() / np.delete(best, d).mean() for d in range(7)]
        error = np.sqrt(6 / 7 * ((np.array(left) - np.mean(left)) ** 2).sum())
        assert result.low[method] == pytest.approx(value - 2.446912 * error, rel=1e-6)
        assert result.high[method] == pytest.approx(value + 2.446912 * error, rel=1e-6)


def test_a_ratio_to_a_constant_is_the_gain_in_other_units():
    gain = gains(6, 3)
    ratio, absolute = ratio_t(gain, np.full(6, 0.5)), paired_t(gain)
    np.testing.assert_allclose(ratio.low, 2 * absolute.low)
    np.testing.assert_allclose(ratio.high, 2 * absolute.high)


def statistics(gain, compared=slice(None)):
    """Return means over half-pooled deviations, computed the long way."""
    variance = gain.var(axis=0)
    return gain.mean(axis=0) / np.sqrt((variance + variance[compared].mean()) / 2)


@pytest.mark.parametrize("seed", range(4))
def test_p_values_are_the_shares_of_flips_that_reach_the_statistics(seed):
    gain = gains(6, 4, seed)
    compared = np.array([True, True, True, False])
    flips = [np.array(signs)[:, None] for signs in itertools.product([1, -1], repeat=6)]
    t = np.array([(gain * signs).mean(axis=0) / (gain * signs).std(axis=0) for signs in flips])
    result = sign_flip(gain, compared, 1.0)
    np.testing.assert_allclose(result.uncorrected, (t >= t[0] - 1e-9).mean(axis=0))
    null = np.array([statistics(gain * signs, compared) for signs in flips])[:, :3]
    largest = null.max(axis=1)[:, None]
    np.testing.assert_allclose(result.corrected[:3], (largest >= null[0] - 1e-9).mean(axis=0))


def test_methods_that_lose_make_no_other_significant():
    rng = np.random.default_rng(0)
    gain = 0.04 * rng.standard_normal((2000, 7, 10))
    gain[..., 1:] -= 0.1
    result = sign_flip(gain, all_compared(10), 1.0)
    assert (result.uncorrected[:, 0] <= 0.05).mean() == pytest.approx(0.047, abs=0.015)
    assert (result.corrected[:, 0] <= 0.05).mean() < 0.03


def test_a_corrected_p_value_is_never_below_the_uncorrected_one():
    gain = np.random.default_rng(6).normal(0.03, 0.04, (300, 7, 10))
    gain[..., 0] *= 2
    result = sign_flip(gain, all_compared(10), 1.0)
    assert (result.corrected >= result.uncorrected).all()


def test_one_method_alone_is_tested_by_its_t_statistic():
    gain = gains(6, 1)
    flips = np.array(list(itertools.product([1, -1], repeat=6)))[:, :, None]
    t = np.asarray(stats.ttest_1samp(gain * flips, 0, axis=1).statistic)[:, 0]
    result = sign_flip(gain, all_compared(1), 1.0)
    expected = (t >= t[0] - 1e-9).mean()
    assert result.uncorrected == result.corrected == pytest.approx(expected)


def test_the_smallest_p_is_one_flip_of_all():
    result = sign_flip(np.abs(gains(7, 1)), all_compared(1), 1.0)
    assert result.uncorrected == result.corrected == pytest.approx(2**-7)


def test_the_correction_is_over_the_methods_compared():
    gain = gains(7, 4)
    controls = np.array([False, False, True, True])
    result, alone = sign_flip(gain, ~controls, 1.0), sign_flip(gain[:, :2], all_compared(2), 1.0)
    np.testing.assert_array_equal(result.corrected[:2], alone.corrected)
    np.testing.assert_array_equal(result.uncorrected[:2], alone.uncorrected)
    assert np.isnan(result.corrected[2:]).all()
    assert np.isfinite(result.uncorrected).all()
    assert np.isnan(sign_flip(gain, ~all_compared(4), 1.0).corrected).all()


def test_a_correction_never_lowers_p_and_equal_methods_cost_nothing():
    gain = gains(7, 5)
    result = sign_flip(gain, all_compared(5), 1.0)
    assert (result.corrected >= result.uncorrected).all()
    assert (result.corrected > result.uncorrected).any()
    twice = sign_flip(np.tile(gain, 2), all_compared(10), 1.0)
    np.testing.assert_array_equal(twice.corrected[:5], result.corrected)


def test_a_variance_that_is_small_by_chance_is_not_trusted():
    rng = np.random.default_rng(3)
    lucky = 0.003 + 0.001 * rng.standard_normal(7)
    others = 0.04 * rng.standard_normal((7, 9))
    alone = sign_flip(lucky[:, None], all_compared(1), 1.0)
    among = sign_flip(np.column_stack([lucky, others]), all_compared(10), 1.0)
    assert alone.corrected[0] < 0.05
    assert among.corrected[0] > 0.5


def test_equal_gains_of_all_donors_have_the_smallest_p_and_none_has_one():
    result = sign_flip(np.column_stack([np.full(7, 0.05), np.zeros(7)]), all_compared(2), 1.0)
    assert result.uncorrected.tolist() == [2**-7, 1]
    assert result.corrected.tolist() == [2**-7, 1]
    assert sign_flip(np.full((7, 1), 0.05), all_compared(1), 1.2).corrected[0] == 2**-7


def test_ties_count_against_a_method():
    nothing = sign_flip(np.zeros((7, 2)), all_compared(2), 1.0)
    assert nothing.uncorrected.tolist() == nothing.corrected.tolist() == [1, 1]
    one = np.zeros((7, 1))
    one[0] = 0.1  # six donors tie: half of the flips leave the sum as it is
    assert sign_flip(one, all_compared(1), 1.0).uncorrected == pytest.approx(0.5)


def test_cases_are_evaluated_together_as_apart():
    gain = np.random.default_rng(4).normal(0.02, 0.04, (3, 2, 7, 4))
    compared, scale = np.array([True, True, True, False]), np.full((3, 2, 7), 1.5)
    together = sign_flip(gain, compared, 1.2)
    ratio = ratio_interval(gain, scale, cross_validated=True)
    for case in np.ndindex(3, 2):
        apart = sign_flip(gain[case], compared, 1.2)
        np.testing.assert_array_equal(together.uncorrected[case], apart.uncorrected)
        np.testing.assert_array_equal(together.corrected[case], apart.corrected)
        alone = ratio_interval(gain[case], scale[case], cross_validated=True)
        np.testing.assert_allclose(ratio.low[case], alone.low)


def test_many_donors_have_as_many_flips_and_the_same_ones_each_time():
    gain = gains(EXACT_DONORS + 8, 2)
    result = sign_flip(gain, all_compared(2), 1.0)
    np.testing.assert_array_equal(
        result.uncorrected, sign_flip(gain, all_compared(2), 1.0).uncorrected
    )
    expected = stats.ttest_1samp(gain, 0, alternative="greater").pvalue
    np.testing.assert_allclose(result.uncorrected, expected, atol=0.02)
    least = sign_flip(np.abs(gain) + 0.1, all_compared(2), 1.0)
    assert least.uncorrected.tolist() == [2.0**-EXACT_DONORS] * 2


def test_too_few_donors_are_named():
    assert not_testable(1) == "not testable: 1 donor, 5 needed"
    assert not_testable(4) == "not testable: 4 donors, 5 needed"


@pytest.mark.parametrize("shift", [0.62, 0.8])
def test_a_ratio_to_what_may_be_zero_has_no_interval(shift):
    result = ratio_t(gains(7, 1), bests(7) - shift)
    assert np.isnan([result.low, result.high]).all()


def test_a_quantity_without_variation_over_donors_has_no_interval():
    best = bests(7)
    gain = np.column_stack([np.full(7, 0.05), 0.1 * best, np.zeros(7), gains(7, 1)])
    assert np.isnan(paired_t(gain).low).tolist() == [True, False, True, False]
    assert np.isnan(ratio_t(gain, best).low).tolist() == [False, True, True, False]


def test_what_is_positive_has_its_interval_above_zero():
    values = np.stack([np.linspace(-0.1, 0.5, 7), np.linspace(0.1, 0.2, 7), np.full(7, -0.1)])
    assert is_positive(values, cross_validated=False).tolist() == [True, True, False]
    assert not is_positive(np.linspace(-0.2, 0.5, 7), cross_validated=False)
    barely = np.linspace(-0.098, 0.5, 7)
    assert is_positive(barely, cross_validated=False)
    assert not is_positive(barely - 0.01, cross_validated=True)
    assert is_positive(np.linspace(-0.2, 0.5, 4), cross_validated=False)  # too few: the mean
    assert is_positive(np.full(7, 0.1), cross_validated=False)
    assert not is_positive(np.full(7, 1e-300), cross_validated=False)


def test_donors_held_out_in_turn_widen_intervals_and_raise_p():
    gain, best = gains(7, 6), bests(7)
    for one, other in (
        (donor_interval(gain, cross_validated=False), donor_interval(gain, cross_validated=True)),
        (
            ratio_interval(gain, best, cross_validated=False),
            ratio_interval(gain, best, cross_validated=True),
        ),
    ):
        np.testing.assert_allclose(other.high - other.low, np.sqrt(6 / 5) * (one.high - one.low))
        np.testing.assert_allclose(other.high + other.low, one.high + one.low)
    apart = sign_flip(gain, all_compared(6), inflation(7, cross_validated=False))
    turns = sign_flip(gain, all_compared(6), inflation(7, cross_validated=True))
    won = gain.mean(axis=0) > 0
    assert (turns.uncorrected >= apart.uncorrected)[won].all()
    assert (turns.corrected > apart.corrected)[won].any()


def test_deviations_from_the_others_vary_more_than_they_show():
    values = np.random.default_rng(0).standard_normal((7, 200_000))
    others = (values.sum(axis=0) - values) / 6
    squares = (values - others) ** 2
    shown = squares.var(axis=0, ddof=1).mean() / 7
    assert squares.mean(axis=0).var() / shown == pytest.approx(6 / 5, rel=0.02)


@pytest.mark.parametrize("cross_validated", [False, True])
def test_intervals_cover_the_truth_as_often_as_they_say(cross_validated):
    values = np.random.default_rng(2).standard_normal((2, 20, 7, 10_000))
    if cross_validated:  # squared deviations from the other donors, over twenty features
        values = (values - (values.sum(axis=2, keepdims=True) - values) / 6) ** 2
    gain = (values[0] - values[1]).sum(axis=0)
    result = donor_interval(gain, cross_validated=cross_validated)
    covered = (result.low <= 0) & (result.high >= 0)
    assert covered.mean() == pytest.approx(0.95, abs=0.01)


def test_too_few_donors_have_no_interval():
    for result in (
        donor_interval(gains(4, 2), cross_validated=True),
        ratio_interval(gains(4, 2), bests(4), cross_validated=True),
    ):
        assert np.isnan([result.low, result.high]).all()
