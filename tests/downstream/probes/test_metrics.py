"""Scores against closed forms and scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as peer

from cell_synergy.downstream.probes.metrics import classification, gaussian_bits, regression

PRIOR = np.array([0.5, 0.25, 0.25])


def test_a_perfect_classifier_has_full_scores_and_the_labels_information():
    y = np.array([0, 0, 1, 2])
    scores = classification(y, np.eye(3)[y], PRIOR)
    assert scores == pytest.approx(
        {"macro_f1": 1, "balanced_accuracy": 1, "accuracy": 1, "bits": (1 + 1 + 2 + 2) / 4}
    )


def test_predicting_the_prior_is_worth_no_bits():
    y = np.array([0, 1, 2, 2, 1])
    assert classification(y, np.tile(PRIOR, (5, 1)), PRIOR)["bits"] == 0


def test_bits_are_negative_where_the_prior_would_have_been_better():
    wrong = np.tile([0.1, 0.45, 0.45], (4, 1))
    assert classification(np.zeros(4, int), wrong, PRIOR)["bits"] == pytest.approx(np.log2(0.2))


def test_a_certain_error_costs_much_but_not_infinity():
    bits = classification(np.array([0]), np.array([[0.0, 1.0, 0.0]]), PRIOR)["bits"]
    assert np.isfinite(bits)
    assert bits < -1000


def test_averages_are_over_the_classes_that_are_present():
    y = np.array([0, 0, 0, 1])
    predicted = np.array([0, 0, 2, 1])
    scores = classification(y, np.eye(3)[predicted], PRIOR)
    assert scores["macro_f1"] == pytest.approx((0.8 + 1) / 2)
    assert scores["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert scores["accuracy"] == pytest.approx(0.75)


def test_scores_equal_scikit_learn():
    rng = np.random.default_rng(0)
    y, shares = rng.integers(4, size=200), rng.dirichlet(np.ones(4), size=200)
    predicted = shares.argmax(axis=1)
    prior = np.bincount(y) / len(y)
    scores = classification(y, shares, prior)
    assert scores["macro_f1"] == pytest.approx(peer.f1_score(y, predicted, average="macro"))
    assert scores["balanced_accuracy"] == pytest.approx(peer.balanced_accuracy_score(y, predicted))
    assert scores["accuracy"] == pytest.approx(peer.accuracy_score(y, predicted))
    entropy = -(prior * np.log2(prior)).sum()
    assert scores["bits"] == pytest.approx(entropy - peer.log_loss(y, shares) / np.log(2))


def test_f1_of_absent_and_never_predicted_classes_equals_scikit_learn():
    """Class 0 is predicted but absent, 3 is present but never predicted."""
    y, predicted = np.array([1, 1, 1, 2, 2, 3]), np.array([1, 0, 2, 2, 2, 1])
    scores = classification(y, np.eye(4)[predicted], np.full(4, 0.25))
    expected = peer.f1_score(y, predicted, labels=[1, 2, 3], average="macro", zero_division=0)
    assert scores["macro_f1"] == pytest.approx(expected)
    assert scores["balanced_accuracy"] == pytest.approx(peer.recall_score(
        y, predicted, labels=[1, 2, 3], average="macro", zero_division=0
    ))  # fmt: skip


def test_a_class_that_training_never_had_counts_as_error_but_not_in_bits():
    prior = np.array([0.5, 0.5, 0.0])
    y = np.array([0, 1, 2, 2])
    shares = np.array([[0.9, 0.1, 0], [0.1, 0.9, 0], [0.5, 0.5, 0], [0.2, 0.8, 0]])
    scores = classification(y, shares, prior)
    assert scores["accuracy"] == 0.5
    assert scores["balanced_accuracy"] == pytest.approx(2 / 3)
    assert scores["bits"] == pytest.approx(np.log2(1.8))


def test_without_any_class_known_from_training_bits_are_undefined():
    scores = classification(np.array([2]), np.array([[0.5, 0.5, 0]]), np.array([0.5, 0.5, 0]))
    assert np.isnan(scores["bits"])
    assert scores["accuracy"] == 0


def test_regression_of_the_truth_is_perfect_and_of_its_mean_worthless():
    y = np.random.default_rng(1).standard_normal((50, 3))
    assert regression(y, y) == pytest.approx({"r2": 1, "pearson": 1})
    assert regression(y, np.tile(y.mean(axis=0), (50, 1))) == pytest.approx({"r2": 0, "pearson": 0})
    assert regression(y, -y)["pearson"] == pytest.approx(-1)


def test_regression_equals_scikit_learn_and_numpy():
    rng = np.random.default_rng(2)
    y, noise = rng.standard_normal((60, 4)), rng.standard_normal((60, 4))
    scores = regression(y, y + noise)
    assert scores["r2"] == pytest.approx(peer.r2_score(y, y + noise))
    each = [np.corrcoef(y[:, i], (y + noise)[:, i])[0, 1] for i in range(4)]
    assert scores["pearson"] == pytest.approx(np.mean(each))


def test_correlation_does_not_depend_on_scale_but_r2_does():
    y = np.random.default_rng(3).standard_normal((50, 2))
    scores = regression(y, 2 * y + 1)
    assert scores["pearson"] == pytest.approx(1)
    assert scores["r2"] < 0


def test_an_output_without_variation_is_left_out():
    rng = np.random.default_rng(4)
    y, predicted = rng.standard_normal((2, 40, 3))
    y[:, 1] = 0.3
    assert regression(y, predicted) == regression(y[:, [0, 2]], predicted[:, [0, 2]])
    assert np.isnan(list(regression(np.ones((5, 2)), predicted[:5, :2]).values())).all()


def test_bits_of_values_are_the_mutual_information_of_gaussians():
    rng = np.random.default_rng(3)
    x, noise = rng.standard_normal((2, 200_000, 2))
    y = x * [1.0, 3.0] + noise * [1.0, 1.0] + [5.0, -2.0]
    for column, r2 in enumerate((0.5, 0.9)):
        own = y[:, [column]]
        best = x[:, [column]] * [1.0, 3.0][column] + [5.0, -2.0][column]
        found = gaussian_bits(own, best, own.mean(axis=0), own.var(axis=0), 1 - r2)
        assert found == pytest.approx(-np.log2(1 - r2) / 2, abs=0.01)


def test_values_at_the_training_mean_are_worth_no_bits_and_false_confidence_costs():
    y = np.array([[1.0], [3.0], [5.0]])
    mean, variance = y.mean(axis=0), y.var(axis=0)
    flat = np.full_like(y, 3.0)
    assert gaussian_bits(y, flat, mean, variance, 1.0) == 0
    assert gaussian_bits(y, flat, mean, variance, 0.1) < -2


def test_outputs_that_never_vary_in_training_have_no_bits():
    y = np.array([[1.0, 0.2], [2.0, 0.1]])
    mean, variance = np.array([1.5, 0.0]), np.array([0.25, 0.0])
    alone = gaussian_bits(y[:, :1], y[:, :1], mean[:1], variance[:1], 0.5)
    assert gaussian_bits(y, y, mean, variance, 0.5) == alone
    assert np.isnan(gaussian_bits(y[:, 1:], y[:, 1:], mean[1:], variance[1:], 0.5))
