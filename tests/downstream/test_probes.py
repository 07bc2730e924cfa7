"""Linear probes against scikit-learn and closed forms."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression, Ridge

from cell_synergy.downstream.probes import Gram

TOLERANCE, ITERATIONS = 1e-9, 1000


def data(units, features, classes, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((units, features)) @ rng.standard_normal((features, features))
    x = x / x.std(axis=0) + rng.standard_normal(features)
    logits = x @ rng.standard_normal((features, classes)) / np.sqrt(features)
    return x, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


def objective(x, y, coefficients, intercept, strength):
    log_p = log_softmax(x @ coefficients + intercept, axis=1)
    return -log_p[np.arange(len(y)), y].mean() + strength / 2 * (coefficients**2).sum()


@pytest.mark.parametrize("strength", [0.001, 0.03, 1.0])
@pytest.mark.parametrize(("units", "features", "classes"), [(300, 12, 3), (200, 8, 6), (40, 90, 3)])
def test_the_logistic_probe_equals_scikit_learn(units, features, classes, strength):
    x, y = data(units, features, classes)
    probe = Gram(x).logistic(y, classes, strength, TOLERANCE, ITERATIONS)
    peer = LogisticRegression(C=1 / (strength * units), tol=1e-8, solver="newton-cg").fit(x, y)
    other = data(100, features, classes, seed=1)[0]
    np.testing.assert_allclose(
        probe.probabilities(other), peer.predict_proba(other), rtol=0, atol=1e-5
    )
    ours, theirs = (
        objective(x, y, coefficients, intercept, strength)
        for coefficients, intercept in (
            (probe.coefficients, probe.intercept),
            (peer.coef_.T, peer.intercept_),
        )
    )
    assert ours <= theirs + 1e-12


def test_two_classes_share_the_penalty_of_one_binary_logit():
    """Both columns are penalised: b / 2 and -b / 2 cost half of what the one logit b does."""
    x, y = data(250, 6, 2)
    probe = Gram(x).logistic(y, 2, 0.05, TOLERANCE, ITERATIONS)
    peer = LogisticRegression(C=2 / (0.05 * 250), tol=1e-8, solver="newton-cg").fit(x, y)
    np.testing.assert_allclose(probe.probabilities(x), peer.predict_proba(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize("strength", [1e-4, 0.1, 10.0])
@pytest.mark.parametrize(("units", "features"), [(200, 15), (20, 60)])
def test_the_ridge_probe_equals_scikit_learn(units, features, strength):
    x = data(units, features, 2)[0]
    y = np.random.default_rng(5).standard_normal((units, 3)) + x[:, :3] + 7
    probe = Gram(x).ridge(y, strength)
    peer = Ridge(alpha=strength * units, solver="cholesky").fit(x, y)
    np.testing.assert_allclose(probe.coefficients, peer.coef_.T, rtol=0, atol=1e-8)
    np.testing.assert_allclose(probe.scores(x), peer.predict(x), rtol=0, atol=1e-8)
    assert probe.gradient_norm < 1e-10
    assert probe.iterations == 0


def test_probabilities_sum_to_one_and_do_not_overflow():
    x, y = data(60, 5, 3)
    probe = Gram(x).logistic(y, 3, 0.01, TOLERANCE, ITERATIONS)
    shares = probe.probabilities(1e6 * x)
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_strong_penalty_leaves_the_prior(classes):
    x, y = data(80, 5, classes)
    probe = Gram(x).logistic(y, classes, 1e6, 1e-10, ITERATIONS)
    prior = np.bincount(y, minlength=classes) / len(y)
    np.testing.assert_allclose(probe.probabilities(x), np.tile(prior, (80, 1)), atol=1e-4)


def test_a_converged_probe_reports_a_small_gradient():
    x, y = data(300, 20, 4)
    gram = Gram(x)
    done = gram.logistic(y, 4, 0.01, 1e-6, ITERATIONS)
    assert done.gradient_norm <= 1e-6
    assert 0 < done.iterations < ITERATIONS
    stopped = gram.logistic(y, 4, 0.01, 1e-6, 2)
    assert stopped.iterations == 2
    assert stopped.gradient_norm > 1e-4


@pytest.mark.parametrize("strength", [0.001, 0.03, 1.0])
def test_features_of_very_different_scale_take_few_iterations(strength):
    x, y = data(400, 30, 5)
    directions = np.linalg.qr(np.random.default_rng(6).standard_normal((30, 30)))[0]
    x = x @ directions @ np.diag(np.geomspace(0.01, 30, 30)) @ directions.T
    assert Gram(x).logistic(y, 5, strength, 1e-5, ITERATIONS).iterations < 60


def test_a_class_without_a_training_unit_is_hardly_ever_predicted():
    x, y = data(100, 6, 2)
    probe = Gram(x).logistic(y, 3, 0.01, 1e-5, 200)
    shares = probe.probabilities(x)
    assert np.isfinite(shares).all()
    assert shares[:, 2].max() < 0.01


def test_fits_of_one_gram_do_not_disturb_each_other():
    x, y = data(100, 6, 3)
    gram = Gram(x)
    first = gram.logistic(y, 3, 0.01, TOLERANCE, ITERATIONS)
    gram.ridge(x[:, :2], 5.0)
    gram.logistic(y, 3, 1.0, TOLERANCE, ITERATIONS)
    again = gram.logistic(y, 3, 0.01, TOLERANCE, ITERATIONS)
    np.testing.assert_array_equal(first.coefficients, again.coefficients)
    fresh = Gram(x).logistic(y, 3, 0.01, TOLERANCE, ITERATIONS)
    np.testing.assert_array_equal(first.coefficients, fresh.coefficients)


def test_shifting_the_features_changes_only_the_intercept():
    x, y = data(100, 6, 3)
    first, moved = (Gram(a).logistic(y, 3, 0.1, TOLERANCE, ITERATIONS) for a in (x, x + 100))
    np.testing.assert_allclose(moved.coefficients, first.coefficients, atol=1e-5)
    np.testing.assert_allclose(moved.probabilities(x + 100), first.probabilities(x), atol=1e-5)
