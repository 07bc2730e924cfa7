"""Detection limits hold in the test that they are about, and in the designs where it is known."""

import numpy as np
import pytest

from cell_synergy.core.errors import ConfigError
from cell_synergy.scoring.inference import sign_flip
from cell_synergy.studies import detection
from cell_synergy.studies.detection import detection_limit, study_sd

DESIGN = {"donors": 7, "methods": 10, "references": 2, "correlation": 0.5}


def limit(sd=1.0, power=0.8, level=0.05, **changed):
    return detection_limit(sd, **DESIGN | changed, power=power, level=level)


def power_of(gain, rng, donors, methods, references, correlation, level=0.05, datasets=800):
    """Return the share of data sets drawn anew in which the first method's gain is found."""
    own = np.sqrt(1 - correlation) * rng.standard_normal((datasets, 1, donors, methods))
    shared = np.sqrt(correlation) * rng.standard_normal((datasets, references, donors, 1))
    gains = own + shared
    gains[..., 0] += gain
    p = [
        [sign_flip(one, np.ones(methods, dtype=bool), 1.0).corrected[0] for one in data]
        for data in gains
    ]
    return (np.array(p).max(axis=1) <= level).mean()


@pytest.mark.parametrize(
    ("donors", "methods", "references", "correlation"),
    [(5, 10, 2, 0.5), (7, 10, 2, 0.9), (8, 10, 1, 0.5), (8, 3, 2, 0.0), (9, 1, 1, 0.5)],
)
def test_a_gain_of_the_limit_is_found_with_the_power(donors, methods, references, correlation):
    design = donors, methods, references, correlation
    gain = detection_limit(
        1.0, donors=donors, methods=methods, references=references, correlation=correlation,
        power=0.8, level=0.05,
    )  # fmt: skip
    assert power_of(gain, np.random.default_rng(7), *design) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("donors", "promised"), [(5, 0.124 / 0.05), (7, 0.087 / 0.05), (8, 0.078 / 0.05)]
)
def test_the_test_in_use_finds_more_than_t_with_bonferroni_promises(donors, promised):
    # limits of the best of ten methods by a t test, Bonferroni, power .8: there .92 to .95
    found = power_of(promised, np.random.default_rng(8), donors, 10, 1, 0.5)
    assert 0.9 < found < 0.97
    assert limit(donors=donors, references=1) < promised
    assert limit(donors=donors, references=1, power=found) == pytest.approx(promised, rel=0.08)


def test_the_limit_is_proportional_to_the_standard_deviation():
    assert limit(0.05) == pytest.approx(0.05 * limit())
    assert limit(0.0) == 0.0


def test_more_donors_lower_the_limit_and_more_to_ask_raises_it():
    by_donors = [limit(donors=donors) for donors in (5, 6, 7, 8)]
    assert by_donors == sorted(by_donors, reverse=True)
    assert limit(methods=2) < limit(methods=10)
    assert limit(references=1) < limit(references=2)
    assert limit(power=0.5) < limit(power=0.8) < limit(power=0.95)


def test_a_single_method_needs_what_a_t_test_needs():
    # the sign-flip test of one mean is a permutation t test; noncentral t: 1.04 at 7 donors
    assert limit(methods=1, references=1) == pytest.approx(1.07, abs=0.07)


@pytest.mark.parametrize("donors", [1, 2, 4])
def test_with_fewer_than_five_donors_nothing_can_be_found(donors):
    assert limit(donors=donors) == np.inf


def test_a_level_below_the_smallest_p_finds_nothing():
    assert limit(donors=6, level=0.01) == np.inf  # 2^-6 = .016
    assert limit(donors=7, level=0.01) < np.inf  # 2^-7 = .008


def test_equal_designs_have_equal_limits():
    first = limit()
    detection._factor.cache_clear()
    assert limit() == first


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sd", -0.1), ("donors", 0), ("methods", 0), ("references", 0), ("correlation", 1.5),
        ("power", 1.0), ("level", 0.0), ("sd", float("nan")),
    ],
)  # fmt: skip
def test_an_argument_outside_its_range_is_named(name, value):
    with pytest.raises(ConfigError, match=rf"^{name}: {value} is outside its range; give a number"):
        limit(**{name: value})


def test_more_observations_leave_what_varies_between_donors():
    assert study_sd(0.03, 0.4, 100.0) == pytest.approx(0.05)
    assert study_sd(0.03, 0.4, 1e12) == pytest.approx(0.03)
    rng = np.random.default_rng(0)
    means = 0.03 * rng.standard_normal(4000) + (0.4 * rng.standard_normal((4000, 100))).mean(axis=1)
    assert means.std() == pytest.approx(study_sd(0.03, 0.4, 100.0), rel=0.05)


@pytest.mark.parametrize(
    ("between", "within", "n"), [(-1.0, 1.0, 9.0), (1.0, -1.0, 9.0), (1.0, 1.0, 0.0)]
)
def test_impossible_spreads_are_refused(between, within, n):
    with pytest.raises(ConfigError, match="standard deviations are at least 0"):
        study_sd(between, within, n)
