"""Scores of a probe's predictions: by test donor, on inner folds, and of no information."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from cell_synergy.core.names import DONOR
from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.tasks import Prediction, ProbeTask, Target


@dataclass(frozen=True)
class Scores:
    """Scores of predictions for some observations.

    Attributes
    ----------
    values
        Metrics by name; NaN where a metric is undefined.
    chance
        What a representation without information scores in each metric.
    entropy
        Log-loss of the training label shares, in bits; NaN for a regression.
    classes
        Number of classes of the observations; 0 for a regression.
    """

    values: dict[str, float]
    chance: dict[str, float]
    entropy: float
    classes: int


Scorer = Callable[[Int[np.ndarray, " rows"], Float[np.ndarray, "rows outputs"]], Scores]
"""Function from indices of labelled observations, and predictions for them, to their scores."""


def scorer(target: Target, probe_task: ProbeTask, prediction: Prediction) -> Scorer:
    """Return the function that scores predictions of a task for any of its observations.

    Parameters
    ----------
    target, probe_task
        The target and its train/test problem.
    prediction
        Predictions of a probe, whose inner score the bits of a regression depend on.

    Returns
    -------
    :
        Function that returns the metrics of `metrics.classification` (for the control task `donor`
        only the accuracy), or those of `metrics.regression` and `bits`.
    """
    if target.classes:
        return _classification_scorer(target, probe_task)
    return _regression_scorer(target, probe_task, prediction)


def scores_by_donor(
    scorer: Scorer,
    probe_task: ProbeTask,
    prediction: Prediction,
    donor: Shaped[np.ndarray, " obs"],
    labelled: Bool[np.ndarray, " obs"],
) -> Iterator[dict[str, object]]:
    """Yield one dictionary of columns of a score table per test donor and metric.

    A metric that is undefined for a donor has no dictionary. `inner` is the mean of the metric over
    training donors, scored by the predictions on inner folds.

    Parameters
    ----------
    scorer, probe_task
        Function that scores predictions of the task, and its train/test problem.
    prediction
        Predictions of a probe.
    donor, labelled
        Donor of each observation, and whether it has a label.
    """
    inner = _inner_scores(scorer, probe_task, prediction, donor)
    for name, mask in _by_donor(probe_task.test, labelled[probe_task.test], donor):
        scores = scorer(probe_task.test[mask], prediction.predicted[mask])
        columns = {"donor": name, "n": int(mask.sum()), "classes": scores.classes}
        columns |= {"entropy": scores.entropy} | prediction.columns()
        for metric, value in scores.values.items():
            if not np.isnan(value):
                score = {"value": value, "inner": inner[metric], "chance": scores.chance[metric]}
                yield {**columns, "metric": metric, **score}


def _inner_scores(
    scorer: Scorer,
    probe_task: ProbeTask,
    prediction: Prediction,
    donor: Shaped[np.ndarray, " obs"],
) -> dict[str, float]:
    """Return each metric's mean over training donors, predicted on inner folds.

    Donors without predictions, or for which a metric is undefined, are left out of its mean, which
    is NaN if no donor is left.
    """
    predicted = prediction.selection.cv_predicted
    known, by_metric = np.isfinite(predicted).all(axis=1), defaultdict[str, list[float]](list)
    for _, mask in _by_donor(probe_task.train, known, donor):
        for metric, value in scorer(probe_task.train[mask], predicted[mask]).values.items():
            if not np.isnan(value):
                by_metric[metric].append(value)
    means = {metric: float(np.mean(values)) for metric, values in by_metric.items()}
    return defaultdict(lambda: float("nan"), means)


def _by_donor(
    rows: Int[np.ndarray, " rows"],
    mask: Bool[np.ndarray, " rows"],
    donor: Shaped[np.ndarray, " obs"],
) -> Iterator[tuple[str, Bool[np.ndarray, " rows"]]]:
    """Yield each donor of the rows in a mask, and the mask of its rows."""
    donors = donor[rows]
    for name in np.unique(donors[mask]):
        yield name, mask & (donors == name)


def _classification_scorer(target: Target, probe_task: ProbeTask) -> Scorer:
    """Return the function that scores class probabilities."""
    counts = np.bincount(probe_task.present[probe_task.y], minlength=len(target.classes))
    prior = counts / counts.sum()

    def score(
        rows: Int[np.ndarray, " rows"], predicted: Float[np.ndarray, "rows outputs"]
    ) -> Scores:
        y, probabilities = target.codes[rows], np.zeros((len(rows), len(prior)))
        probabilities[:, probe_task.present] = predicted
        values = metrics.classification(y, probabilities, prior)
        if target.name == DONOR:  # one donor's rows have one class: the other metrics are redundant
            values = {"accuracy": values["accuracy"]}
        chance, entropy = metrics.classification_chance(y, prior), metrics.label_entropy(y, prior)
        return Scores(values, chance, entropy, len(np.unique(y)))

    return score


def _regression_scorer(target: Target, probe_task: ProbeTask, prediction: Prediction) -> Scorer:
    """Return the function that scores predicted values."""
    mean, variance = probe_task.y.mean(axis=0), probe_task.y.var(axis=0)
    unexplained = max(1 - prediction.selection.cv_score, float(np.finfo(np.float64).eps))

    def score(
        rows: Int[np.ndarray, " rows"], predicted: Float[np.ndarray, "rows outputs"]
    ) -> Scores:
        y = target.outputs[rows]
        bits = metrics.gaussian_bits(y, predicted, mean, variance, unexplained)
        values = {**metrics.regression(y, predicted), "bits": bits}
        return Scores(values, dict.fromkeys(values, 0.0), float("nan"), 0)

    return score
