"""One fit of the nonlinear probe: its rows, what it knows without features, how it is scored."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int
from scipy.special import softmax
from torch import Tensor

from cell_synergy.core.device import device
from cell_synergy.core.errors import DataError
from cell_synergy.downstream.probes._mlp_init import draw, tensor
from cell_synergy.downstream.probes.tasks import Question

_CONSTANT = 1e-12  # deviation below which an output is constant
_NEWTON = 5  # steps for one bounded parameter of a concave score
_TINY = 1e-30


class Fit:
    """One question, learnt from all training rows or from those outside one inner fold.

    Attributes
    ----------
    rows, held
        Places among the question's training rows: learnt from, and left out.
    origin, scale
        What is known without features: log shares of classes, or mean and deviation of values.
    target
        Of all training rows: classes one-hot, or values in units of `scale`.
    start, first
        Where the question's units begin in the training's `x`, and this fit's in its `target`.
    """

    def __init__(self, question: Question, number: int | None, start: int) -> None:
        self.question, self.start, self.first = question, start, 0
        self.name = "all" if number is None else str(number)
        self.rows = np.flatnonzero(question.inner != number)
        self.held = np.flatnonzero(question.inner == number)
        if len(self.rows) == 0:
            raise DataError(
                f"all training rows are in inner fold {number} and none is left to learn from; "
                "label a second donor (section) with a training role"
            )
        known = question.y[self.rows]
        if question.classes:
            shares = np.bincount(known, minlength=question.classes) / len(known)
            self.origin = np.log(np.maximum(shares, 1 / (2 * len(known))))
            self.scale = np.ones(question.classes)
            self.target = np.eye(question.classes)[question.y]
        else:
            self.origin, deviation = known.mean(axis=0), known.std(axis=0)
            self.scale = np.where(deviation < _CONSTANT, 0, deviation)
            self.target = (question.y - self.origin) / np.where(self.scale == 0, 1, self.scale)

    def units(self, rows: Int[np.ndarray, "*rows"]) -> Int[np.ndarray, "*rows"]:
        """Return where training rows stand in the training's `x`."""
        return np.asarray(self.start + self.question.train[rows])

    def contrasts(self, hidden: int, seed: int) -> Float32[Tensor, "rows hidden"]:
        """Return random mixtures of the targets, standardised: one per hidden unit."""
        known = tensor(self.target[self.rows] - self.target[self.rows].mean(axis=0))
        mixed = known @ draw(seed, "contrasts", known.shape[1], hidden)
        deviation: Tensor = mixed.std(dim=0, correction=0)
        return mixed / (deviation + _TINY)

    def predicted(self, added: Float64[np.ndarray, "rows outputs"], shrink: float) -> np.ndarray:
        """Return probabilities or values, given what the network adds to the origin."""
        values = self.origin + shrink * self.scale * added
        return np.asarray(softmax(values, axis=1) if self.question.classes else values)


def batches(
    fits: Sequence[Fit], random: Sequence[np.random.Generator], count: int
) -> Iterator[list[Tensor]]:
    """Yield places in `x` and in `target`, and weights: (fits, rows).

    Every fit cuts a permutation of its rows into equally many batches.
    """
    sizes = [-(-len(fit.rows) // count) for fit in fits]
    units, targets = np.zeros((2, count, len(sizes), max(sizes)), dtype=np.int64)
    weights = np.zeros(units.shape, dtype=np.float32)
    for place, (fit, size) in enumerate(zip(fits, sizes, strict=True)):
        drawn = np.resize(random[place].permutation(fit.rows), (count, size))
        units[:, place, :size], targets[:, place, :size] = fit.units(drawn), fit.first + drawn
        weights[:, place, :size] = 1 / size
    whole = [torch.from_numpy(array).to(device()) for array in (units, targets, weights)]
    for batch in zip(*whole, strict=True):
        yield list(batch)


def network(
    x: Float32[Tensor, "fits rows d"], weights: Sequence[Tensor]
) -> Float32[Tensor, "fits decays rows outputs"]:
    """Return what the networks add to the prior."""
    first, bias, second, offset = weights
    hidden = torch.baddbmm(bias.flatten(2), x, first.flatten(2)).relu()
    layers = hidden.view(*hidden.shape[:2], *first.shape[2:]).transpose(1, 2)
    found: Tensor = layers @ second + offset
    return found


def shrunk_logits(
    fits: Sequence[Fit], added: Float64[Tensor, "decays rows classes"]
) -> Float64[Tensor, "2 decays"]:
    """Return the best log-likelihood per row, and the factor of `added` (0 to 1) for it."""
    prior = torch.cat([tensor(fit.origin).expand(len(fit.held), -1) for fit in fits]).double()
    y = torch.cat([tensor(fit.target[fit.held]) for fit in fits]).double()
    factor = torch.full_like(added[:, :1, :1], 0.5)
    for _ in range(_NEWTON):
        shares = (prior + factor * added).softmax(2)
        mean = (shares * added).sum(2)
        slope = ((y * added).sum(2) - mean).sum(1)
        bend = ((shares * added**2).sum(2) - mean**2).sum(1)
        factor = (factor + (slope / (bend + _TINY))[:, None, None]).clamp(0, 1)
    logs = ((prior + factor * added).log_softmax(2) * y).sum(2)
    return torch.stack([logs.mean(1), factor[:, 0, 0]])


def shrunk_values(
    fits: Sequence[Fit], added: Float64[Tensor, "decays rows outputs"]
) -> Float64[Tensor, "2 decays"]:
    """Return the best mean R2 of the folds, and the factor of `added` (0 to 1) for it."""
    total, most, weights = sum(len(fit.held) for fit in fits), 0.0, []
    for fit in fits:
        y = fit.target[fit.held]
        spread = len(y) * y.var(axis=0)
        varies = fit.question.y[fit.held].std(axis=0) > _CONSTANT  # others have no R2
        share = len(y) / total / max(varies.sum(), 1)
        most += share * varies.sum()
        weights.append(np.where(varies, share / np.where(varies, spread, 1), 0) + 0 * y)
    y, weight = (
        tensor(np.concatenate(a)).double() for a in ([f.target[f.held] for f in fits], weights)
    )
    factor = (weight * y * added).sum((1, 2)) / ((weight * added**2).sum((1, 2)) + _TINY)
    factor = factor.clamp(0, 1)
    errors = (weight * (y - factor[:, None, None] * added) ** 2).sum((1, 2))
    return torch.stack([most - errors, factor])
