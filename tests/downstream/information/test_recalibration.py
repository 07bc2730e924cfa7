"""Temperature and offsets against a direct search, and what they must not depend on."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from cell_synergy.downstream.information.recalibration import equal_weights, recalibrate


@pytest.fixture
def case():
    """Labels of three classes, their true posterior, and four groups of unequal size."""
    rng = np.random.default_rng(0)
    posterior = softmax(1.5 * rng.standard_normal((600, 3)), axis=1)
    y = (rng.uniform(size=(600, 1)) > posterior.cumsum(axis=1)).sum(axis=1)
    groups = np.repeat(list("abcd"), [50, 100, 150, 300])
    return posterior, y, groups


def log_loss(log_p, y):
    return -log_p[np.arange(len(y)), y].mean()


def powered(posterior, power):
    return posterior**power / (posterior**power).sum(axis=1, keepdims=True)


def test_the_fit_is_that_of_greatest_likelihood_on_the_other_groups(case):
    posterior, y, groups = case
    rest = groups != "b"
    x, own = np.log(np.maximum(posterior, 0.25 / 255)), y[rest]
    weights = equal_weights(groups[rest])

    def loss(fit):
        log_p = log_softmax(fit[0] * x[rest] + fit[1:], axis=1)
        prior = 0.05 * (((fit - [1, 0, 0, 0]) ** 2).sum()) / len(own)
        return prior - weights @ log_p[np.arange(len(own)), own]

    best = minimize(loss, [1, 0, 0, 0], tol=1e-12).x
    expected = log_softmax(best[0] * x[~rest] + best[1:], axis=1)
    np.testing.assert_allclose(recalibrate(posterior, y, groups)[~rest], expected, atol=1e-5)


@pytest.mark.parametrize("power", [0.3, 1.0, 2.0])
def test_a_wrong_temperature_is_undone(case, power):
    posterior, y, groups = case
    honest = recalibrate(posterior, y, groups)
    mended = recalibrate(powered(np.maximum(posterior, 0.05), power), y, groups)
    assert log_loss(mended, y) == pytest.approx(log_loss(honest, y), abs=0.02)


def test_where_it_is_fitted_the_log_loss_is_the_entropy(case):
    posterior, y, _ = case
    log_p = recalibrate(
        np.tile(powered(posterior, 3), (2, 1)), np.tile(y, 2), np.repeat([0, 1], len(y))
    )
    entropy = -(np.exp(log_p) * log_p).sum(axis=1).mean()
    assert log_loss(log_p, np.tile(y, 2)) == pytest.approx(entropy, abs=1e-3)
    assert np.exp(log_p).mean(axis=0) == pytest.approx(np.bincount(y) / len(y), abs=1e-3)


def test_a_groups_own_labels_do_not_move_its_posterior(case):
    posterior, y, groups = case
    others = np.where(groups == "c", (y + 1) % 3, y)
    first, second = recalibrate(posterior, y, groups), recalibrate(posterior, others, groups)
    np.testing.assert_allclose(first[groups == "c"], second[groups == "c"], atol=1e-8)
    assert abs(first - second)[groups != "c"].max() > 0.1


def test_a_group_counts_the_same_with_every_unit_twice(case):
    posterior, y, groups = case
    twice = np.concatenate([np.arange(len(y)), np.flatnonzero(groups == "a")])
    more = recalibrate(posterior[twice], y[twice], groups[twice])[: len(y)]
    np.testing.assert_allclose(more, recalibrate(posterior, y, groups), atol=1e-3)


def test_a_posterior_that_points_away_from_the_label_tells_nothing(case):
    posterior, y, groups = case
    log_p = recalibrate(powered(posterior, -1.0), y, groups)
    for group in "abcd":
        assert np.ptp(log_p[groups == group], axis=0) == pytest.approx(0, abs=1e-9)


def test_certain_posteriors_and_unseen_classes_stay_finite(case):
    _, y, groups = case
    y = np.where(groups == "a", 0, 1 + y % 2)
    log_p = recalibrate(np.eye(3)[y], y, groups)
    assert np.isfinite(log_p).all()
    assert log_loss(log_p, y) < 1
