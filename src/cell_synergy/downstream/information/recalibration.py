"""Recalibration of posteriors by a temperature and an offset of each class, fitted on other donors.

References
----------
Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.
"""

import numpy as np
from jaxtyping import Float, Float64, Int, Shaped
from scipy.special import log_softmax, softmax

_FLOOR = 0.25 / 255  # what 0 of 255 stands for in a stored posterior: the middle of what it rounds
_BELIEF = 0.1  # units that say "slope 1, offsets 0": finite offsets for a class unseen elsewhere
_STEPS = 100  # Newton takes under ten
_ROUNDING = 1e-10


def recalibrate(
    posterior: Float[np.ndarray, "obs classes"],
    y: Int[np.ndarray, " obs"],
    groups: Shaped[np.ndarray, " obs"],
) -> Float64[np.ndarray, "obs classes"]:
    """Return log p^slope + offset of each class, normalised, fitted on the other groups' units.

    The fit is that of greatest likelihood, where groups weigh the same. A posterior whose best
    slope is negative tells nothing: its slope is 0.
    """
    logits = np.log(np.maximum(posterior.astype(np.float64), _FLOOR))
    onehot = np.eye(logits.shape[1])[y]
    calibrated = np.zeros(logits.shape)
    fit = np.eye(1 + logits.shape[1])[0]
    for group in np.unique(groups):
        own = groups == group
        fit = _scaling(logits[~own], onehot[~own], equal_weights(groups[~own]), fit)
        calibrated[own] = log_softmax(fit[0] * logits[own] + fit[1:], axis=1)
    return calibrated


def equal_weights(groups: Shaped[np.ndarray, " obs"]) -> Float64[np.ndarray, " obs"]:
    """Return weights that sum to one, and to the same in every group."""
    _, number, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(counts) * counts[number]))


def _scaling(
    logits: Float64[np.ndarray, "obs classes"],
    onehot: Float64[np.ndarray, "obs classes"],
    weights: Float64[np.ndarray, " obs"],
    start: Float64[np.ndarray, " parameters"],
) -> Float64[np.ndarray, " parameters"]:
    """Return slope and offsets of greatest likelihood, the slope at least 0."""
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
    """Return the minimum of the penalised log-loss, which is convex, by Newton's method.

    A step is halved until the slope along it has not turned by more than half.
    """
    fit, belief = start.copy(), _BELIEF / len(logits)
    believed = np.eye(1, len(fit))[0]

    def gradient(
        at: Float64[np.ndarray, " parameters"],
    ) -> tuple[Float64[np.ndarray, " parameters"], Float64[np.ndarray, "obs classes"]]:
        p = softmax(at[0] * logits + at[1:], axis=1)
        rest = weights[:, None] * (p - onehot)
        slopes = np.concatenate([[np.vdot(rest, logits)], rest.sum(axis=0)])
        return slopes + belief * (at - believed), p

    g, p = gradient(fit)
    for _ in range(_STEPS):
        if abs(g).max() <= _ROUNDING:
            break
        weighted = weights[:, None] * p
        around = logits - (p * logits).sum(axis=1, keepdims=True)
        hessian = np.diag(np.concatenate([[np.vdot(weighted * around, logits)], weighted.sum(0)]))
        hessian[0, 1:] = hessian[1:, 0] = (weighted * around).sum(axis=0)
        hessian[1:, 1:] -= weighted.T @ p
        step = -np.linalg.solve(hessian + belief * np.eye(len(fit)), g)
        slope = step @ g
        while (new := gradient(fit + step))[0] @ step > -slope / 2:
            step, slope = step / 2, slope / 2
        fit, (g, p) = fit + step, new
    return fit
