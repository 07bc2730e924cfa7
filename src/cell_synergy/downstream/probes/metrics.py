"""Scores of predictions on one donor: arrays in, floats out."""

import numpy as np
from jaxtyping import Float, Int

_CONSTANT = 1e-24  # variance of rounding errors


def classification(
    y: Int[np.ndarray, " obs"],
    probabilities: Float[np.ndarray, "obs classes"],
    prior: Float[np.ndarray, " classes"],
) -> dict[str, float]:
    """Score class probabilities.

    Parameters
    ----------
    y
        True class of each unit.
    probabilities
        Predicted probability of each class.
    prior
        Share of each class among the probe's training units.

    Returns
    -------
    `macro_f1` over the classes present in `y`; `balanced_accuracy`; `accuracy`; `bits`: usable
    information (Xu et al. 2020), the mean of log2 p(y) - log2 prior(y). Units of a class that no
    training unit had count in the first three, as errors, and are left out of `bits`.
    """
    predicted, classes = probabilities.argmax(axis=1), len(prior)
    right = np.bincount(y[predicted == y], minlength=classes)
    true, said = (np.bincount(labels, minlength=classes) for labels in (y, predicted))
    present = true > 0
    known = prior[y] > 0
    tiny = np.finfo(np.float64).tiny
    gain = np.log2(np.maximum(probabilities[known, y[known]], tiny)) - np.log2(prior[y[known]])
    return {
        "macro_f1": float((2 * right[present] / (true + said)[present]).mean()),
        "balanced_accuracy": float((right[present] / true[present]).mean()),
        "accuracy": float((predicted == y).mean()),
        "bits": float(gain.mean()) if known.any() else float("nan"),
    }


def gaussian_bits(
    y: Float[np.ndarray, "obs outputs"],
    predicted: Float[np.ndarray, "obs outputs"],
    mean: Float[np.ndarray, " outputs"],
    variance: Float[np.ndarray, " outputs"],
    unexplained: float,
) -> float:
    """Score predicted values by usable information in Gaussians, in bits per output and unit.

    Parameters
    ----------
    y, predicted
        True and predicted values.
    mean, variance
        Of each output among the probe's training units; one without variation is left out.
    unexplained
        Share of the variance around predictions, by inner folds: 1 - R2.

    Returns
    -------
    The mean of log2 N(y; predicted, unexplained * variance) - log2 N(y; mean, variance), which is
    -log2(1 - R2) / 2 if the test units are as the training units were.
    """
    varies = variance > _CONSTANT
    if not varies.any():
        return float("nan")
    scaled = variance[varies]
    before = ((y - mean)[:, varies] ** 2 / scaled).mean()
    after = ((y - predicted)[:, varies] ** 2 / scaled).mean() / unexplained
    return float(((before - after) / np.log(2) - np.log2(unexplained)) / 2)


def regression(
    y: Float[np.ndarray, "obs outputs"], predicted: Float[np.ndarray, "obs outputs"]
) -> dict[str, float]:
    """Score predicted values: `r2`, uniform average over outputs, and the mean `pearson` beside it.

    Outputs without variation on this donor are left out of both.
    """
    varies = y.var(axis=0) > _CONSTANT
    if not varies.any():
        return {"r2": float("nan"), "pearson": float("nan")}
    y, predicted = y[:, varies], predicted[:, varies]
    deviations = y - y.mean(axis=0), predicted - predicted.mean(axis=0)
    unexplained = ((y - predicted) ** 2).sum(axis=0) / (deviations[0] ** 2).sum(axis=0)
    norms = np.linalg.norm(deviations[0], axis=0) * np.linalg.norm(deviations[1], axis=0)
    covariance = (deviations[0] * deviations[1]).sum(axis=0)
    pearson = np.divide(covariance, norms, out=np.zeros_like(norms), where=norms > 0)
    return {"r2": float(1 - unexplained.mean()), "pearson": float(pearson.mean())}
