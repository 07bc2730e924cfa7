"""The separate fits of the nonlinear probe: their rows, targets, minibatches and validation scores.

A fit is one task trained on all training rows, or on those outside one inner fold, by several
networks with different initial weights. The weighted mean of their outputs is multiplied by a
shrinkage factor, selected on validation rows, and added to the prediction without features.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int
from scipy.special import softmax
from torch import Tensor

from cell_synergy.core.device import device
from cell_synergy.core.errors import DataError
from cell_synergy.downstream.probes._mlp_init import draw_normal, tensor
from cell_synergy.downstream.probes.tasks import ProbeTask

_CONSTANT = 1e-12  # deviation below which an output is constant
# Smallest shrinkage factor, so small that it costs no information. With 0 and equal class shares
# all classes tie, the first one is predicted everywhere, and macro F1 is not what a guess scores.
_LEAST = 1e-3
_NEWTON = 5  # steps for one bounded parameter of a concave score
_TINY = 1e-30  # avoids a division by zero; equal weights, if no network has learnt anything


class Fit:
    """One task, fitted to all training rows or to those outside one inner fold.

    Parameters
    ----------
    probe_task
        The train/test problem.
    number
        The inner fold that is left out for validation; None for a fit to all training rows.
    x_offset
        Row of `Training.x` that holds the first observation, for the task's training rows.

    Attributes
    ----------
    rows, validation_rows
        Fitted rows and validation rows, as indices into the task's training rows.
    origin, scale
        Prediction without features, and scale of the network's outputs: log shares of the classes
        and ones, or mean and standard deviation of the values.
    target
        Targets of all training rows: one-hot classes, or values less `origin` in units of `scale`.
    target_offset
        Row of `Training.target` at which the targets of the fit begin.

    Raises
    ------
    DataError
        If all training rows are in the inner fold.
    """

    def __init__(self, probe_task: ProbeTask, number: int | None, x_offset: int) -> None:
        self.probe_task, self.x_offset, self.target_offset = probe_task, x_offset, 0
        self.name = "all" if number is None else str(number)
        self.rows = np.flatnonzero(probe_task.cv_folds != number)
        self.validation_rows = np.flatnonzero(probe_task.cv_folds == number)
        if len(self.rows) == 0:
            raise DataError(
                f"all training rows are in inner fold {number} and none is left to learn from; "
                "label a second donor (section) with a training role"
            )
        y = probe_task.y[self.rows]
        if probe_task.classes:
            shares = np.bincount(y, minlength=probe_task.classes) / len(y)
            self.origin = np.log(np.maximum(shares, 1 / (2 * len(y))))
            self.scale = np.ones(probe_task.classes)
            self.target = np.eye(probe_task.classes)[probe_task.y]
        else:
            self.origin, deviation = y.mean(axis=0), y.std(axis=0)
            self.scale = np.where(deviation < _CONSTANT, 0, deviation)
            self.target = (probe_task.y - self.origin) / np.where(self.scale == 0, 1, self.scale)

    def x_rows(self, rows: Int[np.ndarray, "*rows"]) -> Int[np.ndarray, "*rows"]:
        """Return rows of `Training.x`, given indices into the task's training rows."""
        return np.asarray(self.x_offset + self.probe_task.train[rows])

    def contrasts(self, hidden: int, seed: int) -> Float32[Tensor, "rows hidden"]:
        """Return standardised random linear combinations of the targets, one per hidden unit.

        Parameters
        ----------
        hidden
            Number of hidden units.
        seed
            Seed of the coefficients.
        """
        centred = tensor(self.target[self.rows] - self.target[self.rows].mean(axis=0))
        mixed = centred @ draw_normal(seed, "contrasts", centred.shape[1], hidden)
        deviation: Tensor = mixed.std(dim=0, correction=0)
        return mixed / (deviation + _TINY)

    def start_weights(
        self, added: Float64[Tensor, "decays starts train outputs"]
    ) -> Float64[Tensor, "decays starts 1 1"]:
        """Return the weight of each network in the ensemble: its share of what they have learnt.

        A network has learnt the mean log-likelihood (classification) or the mean squared error
        (regression) of the fitted rows that it gains over the prediction without features; nothing,
        if it is worse. One that collapsed to a constant, or diverged, thus has no weight, and
        weights are continuous in the networks' outputs.

        Parameters
        ----------
        added
            Outputs of the networks for all training rows of the task.

        Returns
        -------
        :
            The weights, which sum to one over the starts.
        """
        added, y = added[:, :, self.rows], tensor(self.target[self.rows]).double()
        if self.probe_task.classes:
            prior = tensor(self.origin).double().log_softmax(0)
            gained = (((prior + added).log_softmax(3) - prior) * y).sum(3).mean(2)
        else:
            gained = (y**2 - (added - y) ** 2).mean((2, 3))
        learnt = gained.clamp_min(0) + _TINY
        weights: Tensor = learnt / learnt.sum(dim=1, keepdim=True)
        return weights[:, :, None, None]

    def predicted(
        self,
        added: Float64[np.ndarray, "*decays rows outputs"],
        shrink: Float64[np.ndarray, "*decays 1 1"] | float,
    ) -> Float64[np.ndarray, "*decays rows outputs"]:
        """Return the predicted class probabilities or values, in the layout of `added`.

        Parameters
        ----------
        added
            Mean outputs of the networks, which are added to the prediction without features.
        shrink
            Shrinkage factor of the outputs, up to 1.
        """
        values = self.origin + shrink * self.scale * added
        return np.asarray(softmax(values, axis=-1) if self.probe_task.classes else values)


def batches(
    fits: Sequence[Fit], random: Sequence[np.random.Generator], count: int
) -> Iterator[list[Tensor]]:
    """Yield minibatches of all fits for one epoch.

    The rows of each fit are permuted and divided into `count` batches of equal size; rows are
    repeated to fill the last one.

    Parameters
    ----------
    fits
        The fits.
    random
        Random generator of each fit, in the order of the fits.
    count
        Number of batches.

    Yields
    ------
    :
        Three arrays (fits, rows): indices into `Training.x`, indices into `Training.target`, and
        weights, which sum to one per fit and are zero for padding up to the largest fit's size.
    """
    sizes = [-(-len(fit.rows) // count) for fit in fits]
    x_index, target_index = np.zeros((2, count, len(sizes), max(sizes)), dtype=np.int64)
    weights = np.zeros(x_index.shape, dtype=np.float32)
    for i, (fit, size) in enumerate(zip(fits, sizes, strict=True)):
        rows = np.resize(random[i].permutation(fit.rows), (count, size))
        x_index[:, i, :size], target_index[:, i, :size] = fit.x_rows(rows), fit.target_offset + rows
        weights[:, i, :size] = 1 / size
    arrays = [torch.from_numpy(a).to(device()) for a in (x_index, target_index, weights)]
    for batch in zip(*arrays, strict=True):
        yield list(batch)


def forward(
    x: Float32[Tensor, "fits rows d"], weights: Sequence[Tensor]
) -> Float32[Tensor, "fits nets outputs rows"]:
    """Return the outputs of all networks of all fits; rows come last, which is fastest.

    Parameters
    ----------
    x
        Features of each fit's rows.
    weights
        Hidden layer, its bias, output layer and its bias, in the shapes of `Training.weights`.
    """
    first, bias, second, offset = weights
    hidden = torch.baddbmm(bias.flatten(1, 2), first.flatten(1, 2), x.transpose(1, 2)).relu()
    outputs: Tensor = second @ hidden.view(*first.shape[:3], -1) + offset
    return outputs


def shrunk_logits(
    fits: Sequence[Fit], added: Float64[Tensor, "decays rows classes"]
) -> Float64[Tensor, "2 decays"]:
    """Return the best log-likelihood of validation rows over shrinkage factors, and that factor.

    The factor, from `_LEAST` to 1, that maximises the likelihood is computed by Newton's method.

    Parameters
    ----------
    fits
        The fits of one classification to the rows outside each inner fold.
    added
        Mean outputs of the networks for the validation rows of all fits, one fit after the other.

    Returns
    -------
    :
        For each weight decay the mean log-likelihood per row, in nats (first row), and the factor
        (second row).
    """
    priors = [tensor(fit.origin).expand(len(fit.validation_rows), -1) for fit in fits]
    prior = torch.cat(priors).double()
    y = torch.cat([tensor(fit.target[fit.validation_rows]) for fit in fits]).double()
    factor = torch.full_like(added[:, :1, :1], 0.5)
    for _ in range(_NEWTON):
        probabilities = (prior + factor * added).softmax(2)
        mean = (probabilities * added).sum(2)
        slope = ((y * added).sum(2) - mean).sum(1)
        curvature = ((probabilities * added**2).sum(2) - mean**2).sum(1)
        factor = (factor + (slope / (curvature + _TINY))[:, None, None]).clamp(_LEAST, 1)
    log_likelihood = ((prior + factor * added).log_softmax(2) * y).sum(2)
    return torch.stack([log_likelihood.mean(1), factor[:, 0, 0]])


def shrunk_values(
    fits: Sequence[Fit], added: Float64[Tensor, "decays rows outputs"]
) -> Float64[Tensor, "2 decays"]:
    """Return the best mean R2 of the inner folds over shrinkage factors, and that factor.

    The factor, from `_LEAST` to 1, that maximises R2 has a closed form.

    Parameters
    ----------
    fits
        The fits of one regression to the rows outside each inner fold.
    added
        Mean outputs of the networks for the validation rows of all fits, one fit after the other,
        in units of each fit's `scale`.

    Returns
    -------
    :
        For each weight decay the mean R2 (first row), and the factor (second row).
    """
    total, best_possible, weights = sum(len(fit.validation_rows) for fit in fits), 0.0, []
    for fit in fits:
        y = fit.target[fit.validation_rows]
        spread = len(y) * y.var(axis=0)
        deviation = fit.probe_task.y[fit.validation_rows].std(axis=0)
        varies = deviation > _CONSTANT  # R2 of other outputs is undefined
        share = len(y) / total / max(varies.sum(), 1)
        best_possible += share * varies.sum()
        by_output = np.where(varies, share / np.where(varies, spread, 1), 0)
        weights.append(np.broadcast_to(by_output, y.shape))
    y = tensor(np.concatenate([fit.target[fit.validation_rows] for fit in fits])).double()
    weight = tensor(np.concatenate(weights)).double()
    factor = (weight * y * added).sum((1, 2)) / ((weight * added**2).sum((1, 2)) + _TINY)
    factor = factor.clamp(_LEAST, 1)
    errors = (weight * (y - factor[:, None, None] * added) ** 2).sum((1, 2))
    return torch.stack([best_possible - errors, factor])
