"""Tasks are judged by the test, the truth and the detection limit of the study."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.studies.claims.outcomes import (
    FALSE_ALARM,
    FOUND,
    MISSED,
    NOT_FOUND,
    NOT_TESTED,
    RIGHTLY_NOT_FOUND,
    Expected,
    certified_outcome,
    counts,
    gain_outcome,
    interval_limit,
)
from cell_synergy.studies.limits import GAIN

from .conftest import METHODS, sis

NAN = float("nan")


@pytest.mark.parametrize(
    ("truth", "visible", "found", "limit", "outcome"),
    [
        (NAN, True, True, 0.1, FOUND), (NAN, True, False, 0.1, NOT_FOUND),
        (NAN, False, False, 0.1, NOT_FOUND),
        (0.0, True, True, 0.1, FALSE_ALARM), (0.009, True, False, 0.1, RIGHTLY_NOT_FOUND),
        (0.2, True, True, 0.1, FOUND), (0.2, True, False, 0.1, MISSED),
        (0.1, True, False, 0.1, MISSED), (0.05, True, False, 0.1, NOT_TESTED),
        (0.2, True, False, np.inf, NOT_TESTED), (0.2, True, False, NAN, NOT_TESTED),
        (0.2, False, False, 0.1, RIGHTLY_NOT_FOUND), (0.2, False, True, 0.1, FOUND),
    ],
)  # fmt: skip
def test_outcomes_follow_from_test_truth_and_limit(truth, visible, found, limit, outcome):
    assert Expected(truth, visible, 0.01).outcome(found, limit) == outcome


def judged(p, methods=METHODS, truth=0.0, quantity=GAIN, limit=0.05, **kwargs):
    """Return the outcome of the task "cell_type"."""
    rows = sis(p, **kwargs)
    rows = rows[(rows["task"] == "cell_type") & (rows["metric"] == "bits")]
    rows = rows[rows["method"].isin(METHODS)].assign(limit=limit)
    return gain_outcome(rows, methods, Expected(truth, True, 0.01), quantity=quantity)


def test_a_star_without_true_gain_is_a_false_alarm_and_says_so():
    outcome = judged({("cell_type", "simclr"): 0.03})
    assert (outcome.outcome, outcome.method, outcome.value) == (FALSE_ALARM, "simclr", 0.08)
    assert outcome.evidence.startswith(
        "1 of 4 methods, best simclr +0.080 (-0.020 to +0.180 by itself), corrected p 0.030; true "
        "gain 0.000, limit 0."
    )


def test_uncorrected_intervals_above_0_are_no_star():
    assert judged({}, half=0.01).outcome == RIGHTLY_NOT_FOUND


def test_only_stars_of_the_methods_that_a_claim_is_about_count():
    assert judged({("cell_type", "concat"): 0.01}, ["comm"]).outcome == RIGHTLY_NOT_FOUND


def test_the_limit_decides_whether_a_true_gain_is_missed():
    assert judged({}, truth=0.1, limit=0.1).outcome == MISSED
    assert judged({}, truth=0.1, limit=0.11).outcome == NOT_TESTED
    assert judged({}, truth=0.1, limit=np.inf).outcome == NOT_TESTED
    assert judged({}, limit=0.11).limit == 0.11


@pytest.mark.parametrize(
    ("alone", "words"),
    [
        (0.02, "; cross-modal: above one expert paired with itself"),
        (-0.02, "; not said to be cross-modal: not above one expert paired with itself"),
        (NAN, "; not said to be cross-modal: no control of one expert alone"),
    ],
)
def test_cross_modal_is_said_only_above_one_expert_made_linear(alone, words):
    p = {("cell_type", "comm"): 0.01}
    assert judged(p, alone=alone).evidence.endswith(words)
    assert "cross-modal" not in judged({}, alone=alone).evidence


@pytest.mark.parametrize(
    ("low", "high", "truth", "outcome"),
    [
        (0.05, 0.3, 0.0, FALSE_ALARM), (0.05, 0.3, 0.2, FOUND), (0.0, 0.3, 0.2, NOT_TESTED),
        (0.0, 0.1, 0.2, MISSED), (0.0, 0.3, 0.0, RIGHTLY_NOT_FOUND), (NAN, NAN, 0.2, NOT_TESTED),
        (0.0, 0.3, NAN, NOT_FOUND),
    ],
)  # fmt: skip
def test_certified_synergy_is_judged_by_its_interval(low, high, truth, outcome):
    row = pd.Series({"task": "niche", "method": "comm", "bits": -0.0, "low": low, "high": high})
    result = certified_outcome(row, Expected(truth, True, 0.01))
    assert result.outcome == outcome
    assert result.evidence.startswith("certified 0.000 bits")


def test_an_interval_s_limit_is_found_with_the_power():
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((4000, 8))
    half = 2.3646 * draws.std(axis=1, ddof=1) / np.sqrt(8)
    limit = np.mean([interval_limit(-h, h, 8, 0.8) for h in half])
    assert np.mean(draws.mean(axis=1) + limit > half) == pytest.approx(0.8, abs=0.04)


def test_outcomes_are_counted_in_words():
    outcomes = [judged({}), judged({}), judged({("cell_type", "comm"): 0.01})]
    assert counts(outcomes) == "2 rightly not found, 1 false alarm"
