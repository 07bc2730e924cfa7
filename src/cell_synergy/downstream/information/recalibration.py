"""Recalibration of posteriors by a temperature and an offset per class, fitted on other donors.

References
----------
Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.
"""

import numpy as np
from jaxtyping import Float, Float64, Int, Shaped
from scipy.special import log_softmax, softmax

_FLOOR = 0.25 / 255  # value of a stored 0: the middle of the probabilities that round to 0 of 255
_PRIOR_WEIGHT = 0.1  # weight, in observations, of a prior at slope 1 and offset 0
_MAX_STEPS = 100  # Newton's method takes under ten
_TOLERANCE = 1e-10


def recalibrate(
    posterior: Float[np.ndarray, "obs classes"],
    y: Int[np.ndarray, " obs"],
    groups: Shaped[np.ndarray, " obs"],
) -> Float64[np.ndarray, "obs classes"]:
    """Return recalibrated log posteriors: `slope * log p + offset`, normalised over classes.

    Slope and offsets (one per class) of a group maximise the likelihood of the labels of all other
    groups, each of equal weight. If that maximum is at a negative slope, the slope is 0: the
    posterior carries no information.

    Parameters
    ----------
    posterior
        Predicted class probabilities, from 0 to 1.
    y
        Class of each observation, from 0.
    groups
        Group of each observation, of at least two; each is recalibrated by a fit to all others.

    Returns
    -------
    :
        Logarithms (natural) of the recalibrated class probabilities.
    """
    logits = np.log(np.maximum(posterior.astype(np.float64), _FLOOR))
    onehot = np.eye(logits.shape[1])[y]
    calibrated = np.zeros(logits.shape)
    fit = np.eye(1 + logits.shape[1])[0]
    for group in np.unique(groups):
        mask = groups == group
        fit = _fit(logits[~mask], onehot[~mask], equal_weights(groups[~mask]), fit)
        calibrated[mask] = log_softmax(fit[0] * logits[mask] + fit[1:], axis=1)
    return calibrated


def equal_weights(groups: Shaped[np.ndarray, " obs"]) -> Float64[np.ndarray, " obs"]:
    """Return weights of observations that sum to one, with equal sums over all groups."""
    _, number, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(counts) * counts[number]))


def _fit(
    logits: Float64[np.ndarray, "obs classes"],
    onehot: Float64[np.ndarray, "obs classes"],
    weights: Float64[np.ndarray, " obs"],
    start: Float64[np.ndarray, " parameters"],
) -> Float64[np.ndarray, " parameters"]:
    """Return slope and offsets of maximal likelihood, with a slope of at least 0."""
    fit = _newton(logits, onehot, weights, start)
    if fit[0] < 0:
        fit = _newton(np.zeros_like(logits), onehot, weights, start)
        fit[0] = 0
    return fit


def _newton(
    logits: Float64[np.ndarray, "obs classes"],
    onehot: Float64[np.ndarray, "obs classes"],
    weights: Float64[np.ndarray, " obs"],
    start: Float64[np.ndarray, " parameters"],
) -> Float64[np.ndarray, " parameters"]:
    """Minimise the penalised log-loss, which is convex, by Newton's method with damped steps.

    A step is halved while it overshoots the minimum along its direction so far that the slope at
    its end is above half the initial one, with the opposite sign.
    """
    fit, prior_weight = start.copy(), _PRIOR_WEIGHT / len(logits)
    prior = np.eye(1, len(fit))[0]

    def gradient(
        at: Float64[np.ndarray, " parameters"],
    ) -> tuple[Float64[np.ndarray, " parameters"], Float64[np.ndarray, "obs classes"]]:
        p = softmax(at[0] * logits + at[1:], axis=1)
        residual = weights[:, None] * (p - onehot)
        slopes = np.concatenate([[np.vdot(residual, logits)], residual.sum(axis=0)])
        return slopes + prior_weight * (at - prior), p

    g, p = gradient(fit)
    for _ in range(_MAX_STEPS):
        if abs(g).max() <= _TOLERANCE:
            break
        weighted = weights[:, None] * p
        centred = logits - (p * logits).sum(axis=1, keepdims=True)
        hessian = np.diag(np.concatenate([[np.vdot(weighted * centred, logits)], weighted.sum(0)]))
        hessian[0, 1:] = hessian[1:, 0] = (weighted * centred).sum(axis=0)
        hessian[1:, 1:] -= weighted.T @ p
        step = -np.linalg.solve(hessian + prior_weight * np.eye(len(fit)), g)
        slope = step @ g
        while (new := gradient(fit + step))[0] @ step > -slope / 2:
            step, slope = step / 2, slope / 2
        fit, (g, p) = fit + step, new
    return fit
