"""Logistic regression against scikit-learn."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from cell_synergy.downstream.probes import logistic as newton
from cell_synergy.downstream.probes.design import Design
from tests.downstream.probes.conftest import GRID, ITERATIONS, TOLERANCE, data, logistic


def objective(x, y, probe, penalty):
    log_p = log_softmax(x @ probe.coefficients + probe.intercept, axis=1)
    return -log_p[np.arange(len(y)), y].mean() + penalty / 2 * (probe.coefficients**2).sum()


def gradient(x, y, probe, penalty):
    """Return the largest entry of the objective's gradient, features and intercept."""
    rest = (probe.probabilities(x) - np.eye(len(probe.intercept))[y]) / len(y)
    slope = x.T @ rest + penalty * probe.coefficients
    return max(abs(slope).max(), abs(rest.sum(axis=0)).max())


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("penalty", [0.001, 0.03, 1.0])
@pytest.mark.parametrize(("units", "features", "classes"), [(300, 12, 3), (200, 8, 6), (40, 90, 3)])
def test_the_logistic_probe_equals_scikit_learn(units, features, classes, penalty):
    x, y = data(units, features, classes)
    probe = logistic(x, y, classes, penalty)
    peer = LogisticRegression(C=1 / (penalty * units), tol=1e-8, solver="newton-cg").fit(x, y)
    other = data(100, features, classes, seed=1)[0]
    np.testing.assert_allclose(
        probe.probabilities(other), peer.predict_proba(other), rtol=0, atol=1e-5
    )
    theirs = type(probe)(peer.coef_.T, peer.intercept_, 0.0, 0)
    assert objective(x, y, probe, penalty) <= objective(x, y, theirs, penalty) + 1e-12


def test_two_classes_share_the_penalty_of_one_binary_logit():
    """Both columns are penalised: b / 2 and -b / 2 cost half of what the one logit b does."""
    x, y = data(250, 6, 2)
    probe = logistic(x, y, 2, 0.05)
    peer = LogisticRegression(C=2 / (0.05 * 250), tol=1e-8, solver="newton-cg").fit(x, y)
    np.testing.assert_allclose(probe.probabilities(x), peer.predict_proba(x), rtol=0, atol=1e-4)


def test_units_read_in_blocks_are_all_read(monkeypatch):
    x, y = data(100, 6, 3)
    once = logistic(x, y, 3, 0.01)
    monkeypatch.setattr(newton, "_BLOCK", 30 * 7)
    np.testing.assert_allclose(
        logistic(x, y, 3, 0.01).coefficients, once.coefficients, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("penalties", [GRID, GRID[::-1], [1e-4, 1e3, 1e-4]])
@pytest.mark.parametrize(("units", "features"), [(200, 15), (30, 90)])
def test_where_a_fit_starts_does_not_change_its_optimum(penalties, units, features):
    x, y = data(units, features, 4)
    path = Design.of(x).logistic(y, 4, penalties, TOLERANCE, ITERATIONS)
    for probe, penalty in zip(path, penalties, strict=True):
        cold = logistic(x, y, 4, penalty)
        np.testing.assert_allclose(probe.coefficients, cold.coefficients, rtol=0, atol=1e-5)
        np.testing.assert_allclose(probe.probabilities(x), cold.probabilities(x), atol=1e-5)


def test_a_path_takes_fewer_iterations_than_its_fits_alone():
    x, y = data(200, 30, 4)
    path = Design.of(x).logistic(y, 4, GRID, 1e-5, ITERATIONS)
    alone = [logistic(x, y, 4, penalty, 1e-5) for penalty in GRID]
    assert sum(p.iterations for p in path) < 0.9 * sum(p.iterations for p in alone)


@pytest.mark.parametrize("penalty", [0.001, 0.1])
@pytest.mark.parametrize(("units", "features"), [(200, 15), (30, 90)])
def test_the_optimum_is_reached_to_double_precision(units, features, penalty):
    """Directions of search are in single precision; that must not limit where the search ends."""
    x, y = data(units, features, 3)
    assert gradient(x, y, logistic(x, y, 3, penalty, 1e-12), penalty) < 1e-11


def test_one_class_is_certain():
    x = data(30, 4, 2)[0]
    probe = logistic(x, np.zeros(30, int), 1, 0.1)
    np.testing.assert_array_equal(probe.probabilities(x), 1)
    assert probe.gradient_norm == 0


def test_probabilities_sum_to_one_and_do_not_overflow():
    x, y = data(60, 5, 3)
    shares = logistic(x, y, 3, 0.01).probabilities(1e6 * x)
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_strong_penalty_leaves_the_prior(classes):
    x, y = data(80, 5, classes)
    probe = logistic(x, y, classes, 1e6, 1e-10)
    prior = np.bincount(y, minlength=classes) / len(y)
    np.testing.assert_allclose(probe.probabilities(x), np.tile(prior, (80, 1)), atol=1e-4)


def test_a_converged_probe_reports_a_small_gradient():
    x, y = data(300, 20, 4)
    done = logistic(x, y, 4, 0.01, 1e-6)
    assert done.gradient_norm <= 1e-6
    assert 0 < done.iterations < ITERATIONS
    stopped = logistic(x, y, 4, 0.01, 1e-6, 2)
    assert stopped.iterations == 2
    assert stopped.gradient_norm > 1e-4
    assert objective(x, y, done, 0.01) < objective(x, y, stopped, 0.01)


@pytest.mark.parametrize(("penalty", "most"), [(0.001, 30), (0.03, 28), (1.0, 20)])
def test_features_of_very_different_scale_take_few_iterations(penalty, most):
    """Without preconditioning they take 997, 373 and 204; with one class at a time 120, 84, 41."""
    x, y = data(400, 30, 5)
    directions = np.linalg.qr(np.random.default_rng(6).standard_normal((30, 30)))[0]
    x = x @ directions @ np.diag(np.geomspace(0.01, 30, 30)) @ directions.T
    assert logistic(x, y, 5, penalty, 1e-5).iterations < most


def test_separable_classes_converge():
    """Without a penalty the coefficients would grow without end."""
    y = np.arange(60) % 3
    x = 50 * np.eye(3)[y] + 0.01 * data(60, 3, 2)[0]
    probe = logistic(x, y, 3, 1e-4, 1e-6)
    assert probe.gradient_norm <= 1e-6
    assert (probe.probabilities(x).argmax(axis=1) == y).all()


def test_a_class_without_a_training_unit_is_hardly_ever_predicted():
    x, y = data(100, 6, 2)
    shares = logistic(x, y, 3, 0.01, 1e-5, 200).probabilities(x)
    assert np.isfinite(shares).all()
    assert shares[:, 2].max() < 0.01
