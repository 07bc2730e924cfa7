"""Metrics of predictions for the observations of one donor."""

import numpy as np
from jaxtyping import Float, Int

_CONSTANT = 1e-24  # variance up to which an output is constant, but for rounding errors


def classification(
    y: Int[np.ndarray, " obs"],
    probabilities: Float[np.ndarray, "obs classes"],
    prior: Float[np.ndarray, " classes"],
) -> dict[str, float]:
    """Return F1, accuracies and usable information of predicted class probabilities.

    Parameters
    ----------
    y
        True class of each observation, from 0.
    probabilities
        Predicted probability of each class.
    prior
        Share of each class among the probe's training rows.

    Returns
    -------
    :
        `macro_f1` over the classes present in `y`; `balanced_accuracy`; `accuracy`; and `bits`, the
        usable information (Xu et al. 2020): the mean of log2 p(y) - log2 prior(y). Observations of
        a class that is absent from training count as errors in the first three and are left out of
        `bits`, which is NaN if no other is left.
    """
    predicted, classes = probabilities.argmax(axis=1), len(prior)
    true_positives = np.bincount(y[predicted == y], minlength=classes)
    n_true = np.bincount(y, minlength=classes)
    n_predicted = np.bincount(predicted, minlength=classes)
    present = n_true > 0
    mask = prior[y] > 0
    tiny = np.finfo(np.float64).tiny
    gain = np.log2(np.maximum(probabilities[mask, y[mask]], tiny)) - np.log2(prior[y[mask]])
    f1 = 2 * true_positives[present] / (n_true + n_predicted)[present]
    return {
        "macro_f1": float(f1.mean()),
        "balanced_accuracy": float((true_positives[present] / n_true[present]).mean()),
        "accuracy": float((predicted == y).mean()),
        "bits": float(gain.mean()) if mask.any() else float("nan"),
    }


def classification_chance(
    y: Int[np.ndarray, " obs"], prior: Float[np.ndarray, " classes"]
) -> dict[str, float]:
    """Return the metrics of `classification` for a representation without information.

    Parameters
    ----------
    y
        True class of each observation, from 0.
    prior
        Share of each class among the probe's training rows.

    Returns
    -------
    :
        For `macro_f1` and `balanced_accuracy` 1 over the number of classes present in `y`; for
        `accuracy` the largest share; for `bits` 0.
    """
    share = 1 / len(np.unique(y))
    largest = float(prior.max())
    return {"macro_f1": share, "balanced_accuracy": share, "accuracy": largest, "bits": 0.0}


def label_entropy(y: Int[np.ndarray, " obs"], prior: Float[np.ndarray, " classes"]) -> float:
    """Return the log-loss of the training label shares, in bits: the `bits` of perfect predictions.

    Parameters
    ----------
    y
        True class of each observation, from 0.
    prior
        Share of each class among the probe's training rows.

    Returns
    -------
    :
        The mean of -log2 prior(y), without observations of a class that is absent from training;
        NaN if no other is left.
    """
    shares = prior[y][prior[y] > 0]
    return float(-np.log2(shares).mean()) if len(shares) else float("nan")


def gaussian_bits(
    y: Float[np.ndarray, "obs outputs"],
    predicted: Float[np.ndarray, "obs outputs"],
    mean: Float[np.ndarray, " outputs"],
    variance: Float[np.ndarray, " outputs"],
    unexplained: float,
) -> float:
    """Return the usable information of predicted values under Gaussian likelihoods, in bits.

    Parameters
    ----------
    y, predicted
        True and predicted values of test observations.
    mean, variance
        Mean and variance of each output among the probe's training rows. Outputs without variation
        are left out.
    unexplained
        Variance of the prediction errors over that of the values: 1 - R2 on the inner folds.

    Returns
    -------
    :
        The mean over observations and outputs of log2 N(y; predicted, unexplained * variance) -
        log2 N(y; mean, variance). It equals -log2(1 - R2) / 2 if test and training rows have one
        distribution, and is NaN if no output varies.
    """
    varies = variance > _CONSTANT
    if not varies.any():
        return float("nan")
    scale = variance[varies]
    before = ((y - mean)[:, varies] ** 2 / scale).mean()
    after = ((y - predicted)[:, varies] ** 2 / scale).mean() / unexplained
    return float(((before - after) / np.log(2) - np.log2(unexplained)) / 2)


def regression(
    y: Float[np.ndarray, "obs outputs"], predicted: Float[np.ndarray, "obs outputs"]
) -> dict[str, float]:
    """Return R2 and correlation of predicted values.

    Parameters
    ----------
    y, predicted
        True and predicted values.

    Returns
    -------
    :
        `r2` and Pearson's correlation `pearson`, averaged over outputs. Outputs without variation
        in `y` are left out; both are NaN if no output varies. A correlation with constant
        predictions is 0.
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
