"""Scores of a prediction on some of its test rows."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from cell_synergy.core.names import DONOR
from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.tasks import Prediction, ProbeTask, Target

Scorer = Callable[[Bool[np.ndarray, " test"]], dict[str, float]]
"""Function from a mask of test rows to the metrics of a prediction on these rows, by name."""


def scorer(target: Target, probe_task: ProbeTask, prediction: Prediction) -> Scorer:
    """Return the function that scores a prediction on a mask of test rows.

    Parameters
    ----------
    target, probe_task
        The target and its train/test problem.
    prediction
        Predictions for all test rows of the problem.

    Returns
    -------
    :
        Function that returns the metrics of `metrics.classification` (for the control task `donor`
        only the accuracy), or those of `metrics.regression` and `bits`.
    """
    if target.classes:
        return _classification_score(target, probe_task, prediction)
    return _regression_score(target, probe_task, prediction)


def all_classes(
    probabilities: Float[np.ndarray, "test present"], target: Target, probe_task: ProbeTask
) -> Float[np.ndarray, "test classes"]:
    """Return probabilities of all classes of a target; 0 for classes without a training row.

    Parameters
    ----------
    probabilities
        Probabilities of the classes that training rows have, in the order of `probe_task.present`.
    target, probe_task
        The target and its train/test problem.
    """
    extended = np.zeros((len(probabilities), len(target.classes)))
    extended[:, probe_task.present] = probabilities
    return extended


def _classification_score(target: Target, probe_task: ProbeTask, prediction: Prediction) -> Scorer:
    """Return the function that scores a mask of test rows of a classification."""
    probabilities = all_classes(prediction.predicted, target, probe_task)
    prior = np.bincount(probe_task.present[probe_task.y], minlength=len(target.classes))

    def score(mask: Bool[np.ndarray, " test"]) -> dict[str, float]:
        codes = target.codes[probe_task.test[mask]]
        scores = metrics.classification(codes, probabilities[mask], prior / prior.sum())
        if target.name == DONOR:  # one donor's rows have one class: the other metrics are redundant
            return {"accuracy": scores["accuracy"]}
        return scores

    return score


def _regression_score(target: Target, probe_task: ProbeTask, prediction: Prediction) -> Scorer:
    """Return the function that scores a mask of test rows of a regression."""
    mean, variance = probe_task.y.mean(axis=0), probe_task.y.var(axis=0)
    unexplained = max(1 - prediction.selection.cv_score, float(np.finfo(np.float64).eps))

    def score(mask: Bool[np.ndarray, " test"]) -> dict[str, float]:
        y, predicted = target.outputs[probe_task.test[mask]], prediction.predicted[mask]
        bits = metrics.gaussian_bits(y, predicted, mean, variance, unexplained)
        return {**metrics.regression(y, predicted), "bits": bits}

    return score
