"""Scores of a prediction on some of its test rows."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from cell_synergy.core.names import DONOR
from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.tasks import Answer, Goal, Question

Scorer = Callable[[Bool[np.ndarray, " test"]], dict[str, float]]
"""The metrics of a prediction, by name, on a mask of its test rows."""


def scorer(goal: Goal, question: Question, prediction: Answer) -> Scorer:
    """Return the function that scores a prediction on a mask of test rows.

    Parameters
    ----------
    goal, question
        Target and train/test problem.
    prediction
        Predictions for all test rows.
    """
    if goal.classes:
        return _classification_score(goal, question, prediction)
    return _regression_score(goal, question, prediction)


def all_classes(
    probabilities: Float[np.ndarray, "test present"], goal: Goal, question: Question
) -> Float[np.ndarray, "test classes"]:
    """Extend class probabilities by zeros for classes without a training row.

    Parameters
    ----------
    probabilities
        Probabilities of the classes that training rows have.
    goal, question
        Target and train/test problem.
    """
    extended = np.zeros((len(probabilities), len(goal.classes)))
    extended[:, question.present] = probabilities
    return extended


def _classification_score(goal: Goal, question: Question, prediction: Answer) -> Scorer:
    """Return the function that scores a mask of test rows of a classification."""
    probabilities = all_classes(prediction.predicted, goal, question)
    prior = np.bincount(question.present[question.y], minlength=len(goal.classes))

    def score(mask: Bool[np.ndarray, " test"]) -> dict[str, float]:
        codes = goal.codes[question.test[mask]]
        scores = metrics.classification(codes, probabilities[mask], prior / prior.sum())
        if goal.name == DONOR:  # one donor's rows have one class: the other metrics are redundant
            return {"accuracy": scores["accuracy"]}
        return scores

    return score


def _regression_score(goal: Goal, question: Question, prediction: Answer) -> Scorer:
    """Return the function that scores a mask of test rows of a regression."""
    mean, variance = question.y.mean(axis=0), question.y.var(axis=0)
    unexplained = max(1 - prediction.chosen.inner, float(np.finfo(np.float64).eps))

    def score(mask: Bool[np.ndarray, " test"]) -> dict[str, float]:
        y, predicted = goal.outputs[question.test[mask]], prediction.predicted[mask]
        bits = metrics.gaussian_bits(y, predicted, mean, variance, unexplained)
        return {**metrics.regression(y, predicted), "bits": bits}

    return score
