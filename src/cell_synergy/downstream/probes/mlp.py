"""The nonlinear probe: one hidden layer, all fits of one representation trained as one model.

A task has a fit to all training rows and one to the rows outside each inner fold, each with every
weight decay. The decay, the epoch and a factor that shrinks what the network adds to the prior are
those with the best score on the rows left out; the fit to all rows, as it was then, answers.

A label that depends on two features only together (XOR) gives random weights no gradient that
rises above the noise of few rows. Hidden units therefore start along principal Hessian directions
(Li 1992): those along which features interact most about the label.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import pad

from cell_synergy.core.config import Config
from cell_synergy.core.device import device
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.random import stream
from cell_synergy.downstream.probes._mlp_fits import (
    Fit,
    batches,
    network,
    shrunk_logits,
    shrunk_values,
)
from cell_synergy.downstream.probes._mlp_init import (
    draw,
    interacting,
    principal,
    stack,
    take,
    tensor,
)
from cell_synergy.downstream.probes.tasks import Answer, Chosen, Question

_OUT = 0.1  # spread of the first outputs: near the prior, so that no fit starts by unlearning
_NEVER = -1e30


class MLPConfig(Config):
    """The nonlinear probe.

    Attributes
    ----------
    hidden
        Units of the hidden layer; in late fusion of each block's.
    axes
        Principal axes of each block that are kept, at most.
    powers
        Power iterations that turn random weights to principal Hessian directions.
    epochs, batches
        Passes over the rows, and steps of AdamW in each: every fit takes equally many.
    lr
        Step size at the start of the cosine schedule.
    weakest, strongest, strengths
        Grid of weight decays, evenly spaced on a log scale.
    """

    hidden: PositiveInt
    axes: PositiveInt
    powers: PositiveInt
    epochs: PositiveInt
    batches: PositiveInt
    lr: PositiveFloat
    weakest: PositiveFloat
    strongest: PositiveFloat
    strengths: PositiveInt

    def grid(self) -> list[float]:
        """Return the weight decays, strongest first."""
        return [float(s) for s in np.geomspace(self.strongest, self.weakest, self.strengths)]


def answer(
    blocks: Sequence[Float32[np.ndarray, "obs _"]],
    questions: Sequence[Question],
    settings: MLPConfig,
    seed: int,
    *,
    late: bool = False,
) -> list[Answer]:
    """Answer questions about a representation; no answer depends on what else is asked.

    Parameters
    ----------
    blocks
        Standardised features of all units. Of several blocks, hidden units start along
        interactions between them.
    late
        Late fusion: a hidden layer for each block, trained jointly, outputs added. Otherwise one
        hidden layer sees the blocks side by side.

    Raises
    ------
    DataError
        If a feature is not finite, or all training rows are in one inner fold.
    ConfigError
        If the loss is not finite.
    """
    for number, block in enumerate(blocks):
        if len(wrong := np.flatnonzero(~np.isfinite(block).all(axis=1))):
            raise DataError(
                f"block {number} of the representation is not finite for {len(wrong)} units, first "
                f"unit {wrong[0]}; train it again, with a smaller lr"
            )
    order = sorted(range(len(questions)), key=lambda number: questions[number].classes == 0)
    if not order:
        return []
    found = _Training(blocks, [questions[i] for i in order], settings, seed, late=late).answers()
    return [found[order.index(number)] for number in range(len(questions))]


class _Training:
    """All copies of the network: a first axis of fits, classifications first; then one of decays.

    Attributes
    ----------
    x
        Units on principal axes, once for each set of training rows.
    target
        Of all fits' training rows, one fit after the other.
    prior, share
        Of each fit, over outputs: logits without features, and weights of squared errors. Outputs
        that a task does not have get no probability and no weight.
    wired
        Which features a hidden unit sees: (d, hidden).
    weights
        Hidden layer (fits, d, decays, hidden) and its bias, outputs (fits, decays, hidden, outputs)
        and theirs.
    """

    def __init__(
        self,
        blocks: Sequence[np.ndarray],
        questions: Sequence[Question],
        settings: MLPConfig,
        seed: int,
        *,
        late: bool,
    ) -> None:
        self.settings, self.seed, self.late = settings, seed, late
        self.grid = settings.grid()
        sets = {q.train.tobytes(): q.train for q in questions}
        starts = {key: len(blocks[0]) * place for place, key in enumerate(sets)}
        self.tasks = [
            [Fit(q, n, starts[q.train.tobytes()]) for n in (*np.unique(q.inner).tolist(), None)]
            for q in questions
        ]
        self.fits = [fit for task in self.tasks for fit in task]
        self.random = [stream(seed, "mlp", "batches", fit.name) for fit in self.fits]
        sides = [
            [principal(block, rows, settings.axes) for rows in sets.values()] for block in blocks
        ]
        self.widths = [max(1, *(part.shape[1] for part in side)) for side in sides]
        self.x = torch.cat(list(map(stack, sides, self.widths)), dim=1)
        most = max(len(fit.origin) for fit in self.fits)
        self.target = stack([tensor(fit.target) for fit in self.fits], most)
        self.prior, self.share = torch.zeros(2, len(self.fits), 1, 1, most, device=device())
        first = 0
        for fit, prior, share in zip(self.fits, self.prior, self.share, strict=True):
            if fit.question.classes:
                prior[..., len(fit.origin) :] = _NEVER
                prior[..., : len(fit.origin)] = tensor(fit.origin)
            else:
                share[..., : len(fit.origin)] = 1 / len(fit.origin)
            fit.first, first = first, first + len(fit.target)
        layers = [self._hidden_layer(fit) for fit in self.fits]
        self.wired = self._joined([torch.ones(w, settings.hidden) for w in self.widths])
        self.wired = self.wired.to(device())
        decays, hidden = settings.strengths, self.wired.shape[1]
        second = torch.zeros(len(self.fits), decays, hidden, most, device=device())
        for fit, place in zip(self.fits, second, strict=True):
            drawn = draw(seed, "outputs", len(fit.origin), hidden)
            place[..., : len(fit.origin)] = drawn.T * _OUT / hidden**0.5
        self.weights = [
            torch.stack(layers)[:, :, None].repeat(1, 1, decays, 1),
            torch.zeros(len(layers), 1, decays, hidden, device=device()),
            second,
            torch.zeros(len(layers), decays, 1, most, device=device()),
        ]

    def _joined(self, ways: Sequence[Float32[Tensor, "_ hidden"]]) -> Float32[Tensor, "d wide"]:
        """Join the blocks' hidden layers: in late fusion each sees its own block alone."""
        if not self.late:
            return torch.cat(list(ways))
        hidden, last = self.settings.hidden, len(ways) - 1
        sides = [(hidden * place, hidden * (last - place)) for place in range(len(ways))]
        return torch.cat([pad(way, side) for way, side in zip(ways, sides, strict=True)])

    def _hidden_layer(self, fit: Fit) -> Float32[Tensor, "d hidden"]:
        """Return initial weights, from the rows that the fit learns from."""
        hidden, powers = self.settings.hidden, self.settings.powers
        contrasts = fit.contrasts(hidden, self.seed)
        whole = take(self.x, fit.units(fit.rows))
        ends = np.cumsum(self.widths).tolist()
        parts = [whole[:, end - w : end] for w, end in zip(self.widths, ends, strict=True)]
        random = [draw(self.seed, f"block {n}", w, hidden) for n, w in enumerate(self.widths)]
        if not self.late:
            return self._joined(interacting(parts, contrasts, random, powers))
        pairs = zip(parts, random, strict=True)
        return self._joined([interacting([p], contrasts, [r], powers)[0] for p, r in pairs])

    def answers(self) -> list[Answer]:
        """Train, look at the rows left out after each epoch, and answer every question."""
        for w in self.weights:
            w.requires_grad_()
        adam = torch.optim.Adam(self.weights, lr=self.settings.lr, fused=True)
        final = [place for place, fit in enumerate(self.fits) if not len(fit.held)]
        looks, kept = [], []
        for epoch in range(self.settings.epochs):
            loss = self._train(adam, epoch)
            looks.append(self._look())
            if not (np.isfinite(loss) and np.isfinite(looks[-1]).all()):
                raise ConfigError(
                    f"the nonlinear probe's loss is {loss:g} in epoch {epoch}; "
                    f"lower probe.mlp.lr, now {self.settings.lr:g}"
                )
            kept.append([w.detach()[final] for w in self.weights])
        found = []
        for number, task in enumerate(self.tasks):
            scores, shrinks = np.array([look[number] for look in looks]).swapaxes(0, 1)
            chosen = Chosen.best(self.grid, scores.max(axis=0))
            decay = self.grid.index(chosen.strength)
            epoch = int(scores[:, decay].argmax())
            pairs = zip(kept[epoch], (2, 2, 1, 1), strict=True)
            weights = [w[number : number + 1].narrow(axis, decay, 1) for w, axis in pairs]
            steps = (epoch + 1) * self.settings.batches
            found.append(self._answer(task[-1], weights, shrinks[epoch, decay], chosen, steps))
        return found

    def _train(self, adam: torch.optim.Adam, epoch: int) -> float:
        """Take the steps of one epoch; return the last loss."""
        s, decays = self.settings, torch.tensor(self.grid, device=device())
        drawn = batches(self.fits, self.random, s.batches)
        for step, batch in enumerate(drawn, start=epoch * s.batches):
            lr = s.lr * (1 + np.cos(np.pi * step / (s.epochs * s.batches))) / 2
            adam.param_groups[0]["lr"] = lr
            adam.zero_grad()
            loss = self._loss(self.weights, slice(None), *batch)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            with torch.no_grad():
                kept = 1 - lr * decays[:, None]
                self.weights[0] *= kept * self.wired[:, None]
                self.weights[2] *= kept[:, None]
        return float(loss.detach())

    def _loss(
        self,
        weights: Sequence[Tensor],
        fits: slice,
        units: Int[Tensor, "fits rows"],
        targets: Int[Tensor, "fits rows"],
        share: Float32[Tensor, "fits rows"],
    ) -> Float32[Tensor, ""]:
        """Return the sum over copies of cross entropies and halved mean squared errors."""
        added = network(take(self.x, units), weights)
        y, share = take(self.target, targets)[:, None], share[:, None, :, None]
        split = sum(fit.question.classes > 0 for fit in self.fits[fits])
        logs = (self.prior[fits][:split] + added[:split]).log_softmax(3)
        squares = (added[split:] - y[split:]) ** 2 * self.share[fits][split:]
        found: Tensor = (squares * share[split:]).sum() / 2
        found -= (logs * y[:split] * share[:split]).sum()
        return found

    @torch.no_grad()
    def _look(self) -> Float64[np.ndarray, "tasks 2 decays"]:
        """Return each decay's best score on the rows left out, and the factor that reaches it."""
        inner = [place for place, fit in enumerate(self.fits) if len(fit.held)]
        most = max(len(self.fits[place].held) for place in inner)
        units = [np.resize(f.units(f.held), most) for f in (self.fits[place] for place in inner)]
        added = iter(network(take(self.x, np.stack(units)), [w[inner] for w in self.weights]))
        found = []
        for *task, _ in self.tasks:
            parts = [next(added)[:, : len(fit.held), : len(fit.origin)] for fit in task]
            shrunk = shrunk_logits if task[0].question.classes else shrunk_values
            found.append(shrunk(task, torch.cat(parts, dim=1).double()).cpu().numpy())
        return np.array(found)

    def _answer(
        self, fit: Fit, weights: Sequence[Tensor], shrink: float, chosen: Chosen, steps: int
    ) -> Answer:
        """Predict a question's test rows with one copy of its fit to all training rows."""
        test = take(self.x, fit.start + fit.question.test[None])
        added = network(test, weights)[0, 0, :, : len(fit.origin)]
        place, leaves = self.fits.index(fit), [w.clone().requires_grad_() for w in weights]
        units, targets = (
            torch.from_numpy(a[None]).to(device())
            for a in (fit.units(fit.rows), fit.first + fit.rows)
        )
        share = torch.full(units.shape, 1 / len(fit.rows), device=device())
        loss = self._loss(leaves, slice(place, place + 1), units, targets, share)
        first, *rest = torch.autograd.grad(loss, leaves)
        norm = max(float(g.abs().max()) for g in (first * self.wired[:, None], *rest))
        predicted = fit.predicted(added.double().cpu().numpy(), shrink)
        return Answer(predicted, chosen, norm, steps)
