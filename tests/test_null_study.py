"""A small null study: limits are about four standard errors wide, seeds fixed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import _null_fits as null_fits
from benchmarks import null_study
from benchmarks.null_study import Setting
from cell_synergy.core.names import UNIMODAL
from cell_synergy.scoring.tables import sis_table


@pytest.mark.parametrize("metric", ["r2", "bits"])
def test_drawn_scores_are_covered_and_zeros_are_not_found(metric):
    tie = null_study.drawn_row(Setting(metric=metric), 300)
    near = null_study.drawn_row(Setting(metric=metric, difference=0.02), 300)
    for row in (tie, near):
        assert 0.92 < row["covers_gain"] < 0.98
        assert 0.92 < row["covers_sis"] < 0.98
        assert row["family_wise"] < 0.1
        assert row["power_0.05"] < 0.4
        assert 0.5 < row["power_0.1"] < 0.95
        assert row["power_0.2"] > 0.95
    assert tie["family_wise"] < 0.05
    assert -0.008 < tie["bias"] < -0.001
    assert abs(near["bias"]) < 0.004
    assert near["family_wise_before"] > near["family_wise"] + 0.02


def test_a_worse_method_is_not_found_and_hides_no_other():
    row = null_study.drawn_row(Setting(losers=9), 300)
    assert row["family_wise"] < 0.04
    assert row["power_0.1"] > 0.5


@pytest.mark.parametrize("noise", null_study.NOISES)
def test_noise_has_mean_0_and_variance_1(noise):
    values = null_study._noise(noise, np.random.default_rng(0), (200_000,))
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.std() == pytest.approx(1, abs=0.03)
    skewness = (values**3).mean()
    expected = {"left 1": -1, "left 2": -2, "left lognormal": -3.7}.get(noise, 0)
    assert skewness == pytest.approx(expected, abs=0.6 if expected < -2 else 0.15)


def tidy(scores):
    """Return a score table of all data sets, for `sis_table`."""
    datasets, donors, _ = scores.methods.shape
    names = [*UNIMODAL, *null_study.METHODS]
    axes = [f"{i:03}" for i in range(datasets)], [f"D{i}" for i in range(donors)], names
    index = pd.MultiIndex.from_product(axes, names=["dataset", "donor", "method"])
    table = index.to_frame(index=False)
    value = np.concatenate([scores.experts, scores.methods], axis=2)
    inner = np.concatenate([scores.inner, np.zeros((datasets, len(names) - 2))], axis=1)
    in_bits = scores.entropy is not None
    return table.assign(
        task="simulated", metric="bits" if in_bits else "r2", probe="linear", seed=0, n=9,
        fold=table["donor"] if scores.cross_validated else "holdout", value=value.ravel(), chance=0,
        inner=np.repeat(inner[:, None], donors, axis=1).ravel(),
        entropy=np.repeat(scores.entropy.ravel(), len(names)) if in_bits else np.nan,
    )  # fmt: skip


@pytest.mark.parametrize("metric", ["r2", "bits"])
@pytest.mark.parametrize("cross_validated", [False, True])
def test_the_study_tests_what_the_table_says(metric, cross_validated):
    drawn = null_study.drawn(Setting(metric=metric, donors=6, losers=5), 8)
    drawn = replace(drawn, cross_validated=cross_validated)
    scores = null_study.planted(drawn, 0.1)
    table = sis_table(tidy(scores)).query("fold == 'all'")
    p = table.pivot_table(index="dataset", columns="method", values="p_corrected")
    np.testing.assert_allclose(p[null_study.METHODS], null_study.corrected_p(scores))
    stars = (p[["method0"]] <= 0.05).any(axis=1)
    np.testing.assert_array_equal(null_study.detected(scores, slice(0, 1))[0], stars)
    zeros = null_study.intervals(scores, slice(1, 5), np.array([0.0, 0.0]))
    rows = table[table["method"].isin(null_study.METHODS[1:5])]
    assert zeros["bias"] == pytest.approx(rows["gain"].mean())
    assert zeros["covers_gain"] == ((rows["gain_low"] <= 0) & (rows["gain_high"] >= 0)).mean()
    assert zeros["covers_sis"] == ((rows["low"] <= 0) & (rows["high"] >= 0)).mean()


def test_the_rule_before_had_one_expert_and_each_method_s_own_scale():
    scores = null_study.drawn(Setting(donors=6), 5)
    p = null_study.corrected_p_before(scores)
    flips = 1 - 2 * (np.arange(64)[:, None] >> np.arange(6) & 1)
    for number in range(5):
        best = scores.experts[number, :, scores.inner[number].argmax()]
        gain = scores.methods[number] - best[:, None]
        flipped = flips[:, :, None] * gain
        t = flipped.mean(axis=1) / flipped.std(axis=1)
        expected = (t.max(axis=1)[:, None] >= t[0] - 1e-9).mean(axis=0)
        np.testing.assert_allclose(p[number], expected)


def test_chunks_change_nothing(monkeypatch):
    scores = null_study.drawn(Setting(), 7)
    whole = null_study.detected(scores, slice(None))
    monkeypatch.setattr(null_study, "ELEMENTS", 3 * 128 * 10 * 2)
    for one, other in zip(whole, null_study.detected(scores, slice(None)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_setting_draws_the_same_data_and_settings_differ():
    first, again, other = (
        null_study.drawn(Setting(noise), 5).methods for noise in ("normal", "normal", "heavy")
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert len(set(null_study.settings())) == len(list(null_study.settings()))


@pytest.mark.slow
@pytest.mark.parametrize("arm", null_fits.ARMS)
def test_refitted_probes_are_covered_and_zeros_are_not_found(arm, monkeypatch):
    monkeypatch.setattr(null_fits, "ZEROS", 4)
    tied, apart = null_study.fitted_rows(arm, "r2", 25)
    assert abs(tied["difference"]) < 0.02 < apart["difference"]
    for row in (tied, apart):
        assert row["covers_gain"] > 0.84
        assert row["covers_sis"] > 0.84
        assert row["family_wise"] < 0.22
        assert row["power_0.2"] > 0.7


@pytest.mark.parametrize(("arm", "donors"), [("holdout", 10), ("leave-one-donor-out", 6)])
def test_scores_are_those_of_a_probe_that_has_not_seen_the_donor(arm, donors, monkeypatch):
    monkeypatch.setattr(null_fits, "QUIETER", {"r2": ()})
    monkeypatch.setattr(null_fits, "ZEROS", 0)
    fit, score = null_fits.DonorFits.__init__, null_fits.score
    seen: list[tuple[np.ndarray, list[np.ndarray]]] = []

    def trained(probe, metric, z, states):
        seen.append((states, []))
        fit(probe, metric, z, states)

    def scored(metric, linear, z, states):
        seen[-1][1].append(states)
        return score(metric, linear, z, states)

    monkeypatch.setattr(null_fits.DonorFits, "__init__", trained)
    monkeypatch.setattr(null_fits, "score", scored)
    value, inner = null_fits.fitted(arm, "r2", 1)
    assert value.shape == (1, 7, 3)
    assert inner.shape == (1, 3)
    assert sum(len(test) for _, test in seen) == 21
    for train, test in seen:
        assert len(train) == donors
        assert not any((a == b).all() for a in train for b in test)
