"""Inference over donors, against scipy, brute force and cases that can be solved."""

import itertools

import numpy as np
import pytest
from scipy import stats

from cell_synergy.scoring.inference import (
    EXACT_DONORS,
    donor_inference,
    donor_interval,
    jackknife_t,
    paired_t,
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


def t_statistics(gain):
    return gain.mean(axis=0) / gain.std(axis=0, ddof=1)


@pytest.mark.parametrize("seed", range(4))
def test_p_values_are_the_share_of_flips_that_reach_the_t_statistic(seed):
    gain = gains(6, 3, seed)
    flips = [np.array(signs)[:, None] for signs in itertools.product([1, -1], repeat=6)]
    null = np.array([t_statistics(gain * signs) for signs in flips])
    reached = t_statistics(gain) - 1e-9
    result = sign_flip(gain, all_compared(3), 1.0)
    np.testing.assert_allclose(result.uncorrected, (null >= reached).mean(axis=0))
    np.testing.assert_allclose(
        result.corrected, (null.max(axis=1)[:, None] >= reached).mean(axis=0)
    )


def test_the_smallest_p_is_one_flip_of_all():
    result = sign_flip(np.abs(gains(7, 1)), all_compared(1), 1.0)
    assert result.uncorrected == result.corrected == pytest.approx(2**-7)


def test_the_correction_is_over_the_methods_compared():
    gain = gains(7, 4)
    controls = np.array([False, False, True, True])
    result, alone = sign_flip(gain, ~controls, 1.0), sign_flip(gain[:, :2], all_compared(2), 1.0)
    np.testing.assert_array_equal(result.corrected[:2], alone.corrected)
    assert np.isnan(result.corrected[2:]).all()
    np.testing.assert_array_equal(
        result.uncorrected, sign_flip(gain, all_compared(4), 1.0).uncorrected
    )
    assert np.isnan(sign_flip(gain, ~all_compared(4), 1.0).corrected).all()


def test_a_correction_never_lowers_p_and_equal_methods_cost_nothing():
    gain = gains(7, 5)
    result = sign_flip(gain, all_compared(5), 1.0)
    assert (result.corrected >= result.uncorrected).all()
    assert (result.corrected > result.uncorrected).any()
    twice = sign_flip(np.tile(gain, 2), all_compared(10), 1.0)
    np.testing.assert_array_equal(twice.corrected[:5], result.corrected)


def test_noise_of_one_method_does_not_hide_another():
    steady = np.array([0.04, 0.05, 0.06, 0.05, 0.05, 0.04, 0.06])
    wild = 100 * np.random.default_rng(3).standard_normal(7)
    result = sign_flip(np.column_stack([steady, wild]), all_compared(2), 1.0)
    assert result.corrected[0] == pytest.approx(2**-7)


def test_ties_count_against_a_method():
    nothing = sign_flip(np.zeros((7, 2)), all_compared(2), 1.0)
    assert nothing.uncorrected.tolist() == nothing.corrected.tolist() == [1, 1]
    one = np.zeros((7, 1))
    one[0] = 0.1  # six donors tie: half of the flips leave the sum as it is
    assert sign_flip(one, all_compared(1), 1.0).uncorrected == pytest.approx(0.5)


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


@pytest.mark.parametrize(
    ("donors", "note"),
    [
        (1, r"not testable: 1 donor, 5 needed (sections of one donor are no sample of donors)"),
        (2, "not testable: 2 donors, 5 needed"),
        (4, "not testable: 4 donors, 5 needed"),
    ],
)
def test_too_few_donors_are_not_tested(donors, note):
    result = donor_inference(gains(donors, 2), bests(donors), all_compared(2), cross_validated=True)
    assert result.notes == (note, note)
    for values in (result.gain.low, result.ratio.high, result.p.uncorrected, result.p.corrected):
        assert np.isnan(values).all()


def test_five_donors_are_tested_without_a_note():
    result = donor_inference(gains(5, 2), bests(5), all_compared(2), cross_validated=False)
    assert result.notes == ("", "")
    assert np.isfinite(
        [result.gain.low, result.ratio.high, result.p.uncorrected, result.p.corrected]
    ).all()


@pytest.mark.parametrize("shift", [0.62, 0.8])
def test_a_ratio_to_what_may_be_zero_has_no_interval(shift):
    best = bests(7) - shift
    note = "no interval of sis: the best unimodal mean is not clearly above 0"
    result = donor_inference(gains(7, 1), best, all_compared(1), cross_validated=False)
    assert result.notes == (note if best.mean() > 0 else "",)
    assert np.isnan([result.ratio.low, result.ratio.high]).all()
    assert np.isfinite([result.gain.low, result.gain.high, result.p.corrected]).all()


def test_a_quantity_without_variation_over_donors_has_no_interval_and_says_so():
    best = bests(7)
    gain = np.column_stack([np.full(7, 0.05), 0.1 * best, np.zeros(7), gains(7, 1)])
    result = donor_inference(gain, best, all_compared(4), cross_validated=False)
    of_gain = "no interval of the gain: it is the same for every donor"
    of_ratio = "no interval of sis: it is the same without any donor"
    assert result.notes == (of_gain, of_ratio, f"{of_gain}; {of_ratio}", "")
    assert np.isnan(result.gain.low).tolist() == [True, False, True, False]
    assert np.isnan(result.ratio.low).tolist() == [False, True, True, False]
    assert result.p.uncorrected[:3].tolist() == [2**-7, 2**-7, 1]


def test_donors_held_out_in_turn_widen_intervals_and_raise_p():
    gain, best = gains(7, 6), bests(7)
    apart = donor_inference(gain, best, all_compared(6), cross_validated=False)
    turns = donor_inference(gain, best, all_compared(6), cross_validated=True)
    for one, other in ((apart.gain, turns.gain), (apart.ratio, turns.ratio)):
        np.testing.assert_allclose(other.high - other.low, np.sqrt(6 / 5) * (one.high - one.low))
        np.testing.assert_allclose(other.high + other.low, one.high + one.low)
    won = gain.mean(axis=0) > 0
    assert (turns.p.uncorrected >= apart.p.uncorrected)[won].all()
    assert (turns.p.corrected > apart.p.corrected)[won].any()


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
    result = donor_inference(
        gain, bests(7), all_compared(gain.shape[1]), cross_validated=cross_validated
    )
    covered = (result.gain.low <= 0) & (result.gain.high >= 0)
    assert covered.mean() == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("cross_validated", [False, True])
def test_the_interval_over_donors_is_that_of_the_inference(cross_validated):
    gain = gains(7, 3)
    result = donor_interval(gain, cross_validated=cross_validated)
    expected = donor_inference(
        gain, bests(7), all_compared(3), cross_validated=cross_validated
    ).gain
    np.testing.assert_array_equal([result.low, result.high], [expected.low, expected.high])


def test_too_few_donors_have_no_interval():
    result = donor_interval(gains(4, 2), cross_validated=True)
    assert np.isnan([result.low, result.high]).all()
