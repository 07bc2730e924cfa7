"""One slope about the training shares against a direct search, and what it must not depend on."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from cell_synergy.downstream.information.recalibration import equal_weights, recalibrate

PRIOR = np.array([0.5, 0.3, 0.2])


@pytest.fixture
def case():
    """Labels of three classes, their true posterior, training shares, and four unequal groups."""
    rng = np.random.default_rng(0)
    posterior = softmax(np.log(PRIOR) + 1.5 * rng.standard_normal((600, 3)), axis=1)
    y = (rng.uniform(size=(600, 1)) > posterior.cumsum(axis=1)).sum(axis=1)
    groups = np.repeat(list("abcd"), [50, 100, 150, 300])
    return posterior, np.tile(PRIOR, (600, 1)), y, groups


def log_loss(log_p, y):
    return -log_p[np.arange(len(y)), y].mean()


def sloped(posterior, slope):
    return softmax(np.log(PRIOR) + slope * (np.log(posterior) - np.log(PRIOR)), axis=1)


def test_the_fit_is_that_of_greatest_likelihood_on_the_other_groups(case):
    posterior, prior, y, groups = case
    posterior = sloped(posterior, 2.0)
    rest = groups != "b"
    base = np.log(PRIOR)
    evidence, own = np.log(np.maximum(posterior, 0.25 / 255)) - base, y[rest]
    weights = equal_weights(groups[rest])

    def loss(slope):
        log_p = log_softmax(base + slope * evidence[rest], axis=1)
        return -weights @ log_p[np.arange(len(own)), own]

    best = minimize_scalar(loss, bounds=(0, 1), options={"xatol": 1e-9}).x
    assert 0.3 < best < 0.7
    expected = log_softmax(base + best * evidence[~rest], axis=1)
    found = recalibrate(posterior, prior, y, groups)[~rest]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("slope", [1.2, 1.5, 2.0])
def test_what_is_overstated_is_taken_back(case, slope):
    posterior, prior, y, groups = case
    honest = recalibrate(posterior, prior, y, groups)
    mended = recalibrate(sloped(np.maximum(posterior, 0.05), slope), prior, y, groups)
    assert log_loss(mended, y) == pytest.approx(log_loss(honest, y), abs=0.02)


def test_what_is_understated_stays(case):
    posterior, prior, y, groups = case
    timid = sloped(posterior, 0.3)
    np.testing.assert_allclose(np.exp(recalibrate(timid, prior, y, groups)), timid, rtol=1e-12)


def test_other_donors_label_shares_are_not_carried_over(case):
    """A donor of other shares keeps what the posterior tells: offsets would take most of it."""
    posterior, prior, y, _ = case
    groups = np.where(y == 2, "of the third class", np.where(np.arange(600) % 2, "one", "two"))
    log_p = recalibrate(posterior, prior, y, groups)
    gain = log_p[np.arange(600), y] - np.log(PRIOR)[y]
    raw = np.log(posterior[np.arange(600), y]) - np.log(PRIOR)[y]
    mask = groups == "of the third class"
    assert gain[mask].mean() > 0.9 * raw[mask].mean()


def test_a_groups_own_labels_do_not_move_its_posterior(case):
    posterior, prior, y, groups = case
    others = np.where(groups == "c", (y + 1) % 3, y)
    first, second = (recalibrate(posterior, prior, labels, groups) for labels in (y, others))
    np.testing.assert_allclose(first[groups == "c"], second[groups == "c"], atol=1e-8)
    assert abs(first - second)[groups != "c"].max() > 0.1


def test_a_group_counts_the_same_with_every_unit_twice(case):
    posterior, prior, y, groups = case
    twice = np.concatenate([np.arange(len(y)), np.flatnonzero(groups == "a")])
    more = recalibrate(posterior[twice], prior[twice], y[twice], groups[twice])[: len(y)]
    np.testing.assert_allclose(more, recalibrate(posterior, prior, y, groups), atol=1e-3)


def test_a_posterior_that_points_away_from_the_label_is_the_prior_and_gains_nothing(case):
    posterior, prior, y, groups = case
    log_p = recalibrate(sloped(posterior, -1.0), prior, y, groups)
    np.testing.assert_allclose(np.exp(log_p), prior, rtol=1e-12)


def test_certain_posteriors_and_unseen_classes_stay_finite(case):
    _, prior, y, groups = case
    y = np.where(groups == "a", 0, 1 + y % 2)
    log_p = recalibrate(np.eye(3)[y], prior, y, groups)
    assert np.isfinite(log_p).all()
    assert log_loss(log_p, y) < 0.01


def test_a_class_without_training_rows_has_probability_zero_in_its_fold_alone(case):
    posterior, prior, y, groups = case
    lacking = (groups == "a")[:, None]
    prior = np.where(lacking, [0.6, 0.4, 0.0], prior)
    posterior = np.where(lacking, posterior * [1, 1, 0], posterior)
    posterior /= posterior.sum(axis=1, keepdims=True)
    y = np.where((groups == "a") & (y == 2), 0, y)
    p = np.exp(recalibrate(posterior, prior, y, groups))
    assert (p[groups == "a", 2] == 0).all()
    assert (p[groups != "a"] > 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)


def test_a_stored_zero_says_no_more_than_that_it_was_rounded(case):
    """A class rarer than what rounds to 0 keeps its share where a 0 is stored."""
    _, _, y, groups = case
    prior = np.tile([0.7, 0.2999, 0.0001], (600, 1))
    y = np.where(y == 2, 0, y)
    posterior = np.tile([0.7, 0.3, 0.0], (600, 1))
    log_p = recalibrate(posterior, prior, y, groups)
    np.testing.assert_allclose(np.exp(log_p[:, 2]), 0.0001, rtol=0.01)
