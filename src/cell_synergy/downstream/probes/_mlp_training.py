"""Training of the nonlinear probe: the fits of all tasks are batched into one model."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int
from torch import Tensor
from torch.nn.functional import pad

from cell_synergy.core.device import device
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.random import stream
from cell_synergy.downstream.probes._mlp_fits import (
    Fit,
    batches,
    forward,
    shrunk_logits,
    shrunk_values,
)
from cell_synergy.downstream.probes._mlp_init import (
    draw_normal,
    gather_rows,
    interaction_directions,
    pad_and_stack,
    principal_components,
    tensor,
)
from cell_synergy.downstream.probes.config import MLPConfig
from cell_synergy.downstream.probes.tasks import Prediction, ProbeTask, Selection

_OUTPUT_SCALE = 0.1  # standard deviation of initial outputs; small: fits start near the prior
_NO_CLASS = -1e30  # logit of a padded output


class Training:
    """Networks of all fits (classifications first), decays and starts, trained as one model.

    The networks of a fit are numbered by weight decay, then by start. All see equal minibatches;
    starts differ in their initial weights, which are equal for all weight decays.

    Parameters
    ----------
    blocks
        Standardised features of all observations, one array or several.
    probe_tasks
        Train/test problems, classifications first.
    settings
        Configuration of the nonlinear probe.
    seed
        Seed of initial weights and batches.
    late
        Whether each block has its own hidden layer (late fusion).

    Attributes
    ----------
    x
        Principal components of all observations: one block of rows for each set of training rows
        from which the axes are computed.
    target
        Targets of the training rows of all fits, below each other and padded with zeros to equally
        many outputs.
    prior, output_weight
        Arrays (fits, 1, outputs, 1): logits of the class shares, and weights of a regression's
        squared errors. Padded outputs have no probability and no weight.
    connected
        Mask (hidden, d) of the features that a hidden unit reads.
    weights
        Hidden layer (fits, nets, hidden, d) and its bias (fits, nets, hidden, 1), output layer
        (fits, nets, outputs, hidden) and its bias (fits, nets, outputs, 1).
    """

    def __init__(
        self,
        blocks: Sequence[np.ndarray],
        probe_tasks: Sequence[ProbeTask],
        settings: MLPConfig,
        seed: int,
        *,
        late: bool,
    ) -> None:
        self.settings, self.seed, self.late = settings, seed, late
        self.decays = settings.weight_decays()
        row_sets = {t.train.tobytes(): t.train for t in probe_tasks}
        offsets = {key: len(blocks[0]) * i for i, key in enumerate(row_sets)}
        self.tasks = [
            [Fit(t, n, offsets[t.train.tobytes()]) for n in (*np.unique(t.cv_folds).tolist(), None)]
            for t in probe_tasks
        ]
        self.fits = [fit for task in self.tasks for fit in task]
        self.random = [stream(seed, "mlp", "batches", fit.name) for fit in self.fits]
        projections = [
            [principal_components(block, rows, settings.axes) for rows in row_sets.values()]
            for block in blocks
        ]
        components = [[scores for scores, _ in parts] for parts in projections]
        self.widths = [max(1, *(part.shape[1] for part in parts)) for parts in components]
        self.axes = {
            offset: [axes for _, axes in parts]
            for offset, *parts in zip(offsets.values(), *projections, strict=True)
        }
        stacked = [pad_and_stack(*pair) for pair in zip(components, self.widths, strict=True)]
        self.x = torch.cat(stacked, dim=1)
        self.n_outputs = max(len(fit.origin) for fit in self.fits)
        self.target = pad_and_stack([tensor(fit.target) for fit in self.fits], self.n_outputs)
        self.prior, self.output_weight = self._output_masks()
        target_offset = 0
        for fit in self.fits:
            fit.target_offset, target_offset = target_offset, target_offset + len(fit.target)
        ones = [torch.ones(1, settings.hidden, w, device=device()) for w in self.widths]
        self.connected = self._join_blocks(ones)[0]
        self.weights = self._initial_weights()

    def _output_masks(self) -> tuple[Tensor, Tensor]:
        """Return `prior` and `output_weight`."""
        shape = len(self.fits), 1, self.n_outputs, 1
        priors, output_weights = torch.zeros(2, *shape, device=device())
        for fit, prior, weight in zip(self.fits, priors, output_weights, strict=True):
            if fit.probe_task.classes:
                prior[:, len(fit.origin) :] = _NO_CLASS
                prior[:, : len(fit.origin)] = tensor(fit.origin)[:, None]
            else:
                weight[:, : len(fit.origin)] = 1 / len(fit.origin)
        return priors, output_weights

    def _initial_weights(self) -> list[Tensor]:
        """Return the initial `weights`, equal for all weight decays."""
        decays, starts, hidden = len(self.decays), self.settings.starts, len(self.connected)
        layers = torch.stack([self._hidden_layer(fit) for fit in self.fits])
        second = torch.zeros(len(self.fits), starts, self.n_outputs, hidden, device=device())
        for fit, layer in zip(self.fits, second, strict=True):
            for start, by_output in enumerate(layer):
                drawn = draw_normal(self.seed, f"outputs {start}", len(fit.origin), hidden)
                by_output[: len(fit.origin)] = drawn * _OUTPUT_SCALE / hidden**0.5
        return [
            layers.repeat(1, decays, 1, 1),
            torch.zeros(len(layers), decays * starts, hidden, 1, device=device()),
            second.repeat(1, decays, 1, 1),
            torch.zeros(len(layers), decays * starts, self.n_outputs, 1, device=device()),
        ]

    def _join_blocks(
        self, layers: Sequence[Float32[Tensor, "starts hidden _"]]
    ) -> Float32[Tensor, "starts wide d"]:
        """Concatenate the blocks' hidden layers; in late fusion a layer reads one block only."""
        if not self.late:
            return torch.cat(list(layers), dim=2)
        hidden, last = self.settings.hidden, len(layers) - 1
        margins = [(0, 0, hidden * i, hidden * (last - i)) for i in range(len(layers))]
        padded = [pad(layer, m) for layer, m in zip(layers, margins, strict=True)]
        return torch.cat(padded, dim=2)

    def _hidden_layer(self, fit: Fit) -> Float32[Tensor, "starts hidden d"]:
        """Return initial weights of the hidden layer, computed from the fitted rows.

        Directions are drawn in the space of the features: in coordinates along principal axes they
        would change with the axes' arbitrary signs, and so would every prediction.
        """
        starts, powers = self.settings.starts, self.settings.powers
        count = starts * self.settings.hidden
        contrasts = fit.contrasts(count, self.seed)
        x = gather_rows(self.x, fit.x_rows(fit.rows))
        ends = np.cumsum(self.widths).tolist()
        blocks = [x[:, end - w : end] for w, end in zip(self.widths, ends, strict=True)]
        drawn = []
        for n, (width, axes) in enumerate(zip(self.widths, self.axes[fit.x_offset], strict=True)):
            along = axes.T @ draw_normal(self.seed, f"block {n}", len(axes), count)
            drawn.append(pad(along, (0, 0, 0, width - len(along))))
        groups = [[n] for n in range(len(blocks))] if self.late else [list(range(len(blocks)))]
        layers = []
        for group in groups:
            of_group, random = [blocks[n] for n in group], [drawn[n] for n in group]
            layers += interaction_directions(of_group, contrasts, random, powers)
        return self._join_blocks([d.T.reshape(starts, -1, len(d)) for d in layers])

    def run(self) -> list[Prediction]:
        """Train, and predict every task's test rows.

        Returns
        -------
        :
            One prediction per task, in the order of the tasks.

        Raises
        ------
        ConfigError
            If the training loss or a validation score is not finite.
        """
        for w in self.weights:
            w.requires_grad_()
        adam = torch.optim.Adam(self.weights, lr=self.settings.lr, fused=True)
        for epoch in range(self.settings.epochs):
            self._refuse_infinite(self._train(adam, epoch), f"loss in epoch {epoch}")
        return [self._predict(task) for task in self.tasks]

    def _refuse_infinite(self, value: float, name: str) -> None:
        """Raise ConfigError if a value is not finite."""
        if not np.isfinite(value):
            raise ConfigError(
                f"the nonlinear probe's {name} is {value:g}; "
                f"lower probe.mlp.lr, now {self.settings.lr:g}"
            )

    def _train(self, adam: torch.optim.Adam, epoch: int) -> float:
        """Take the optimiser steps of one epoch and return the last loss."""
        s, decays = self.settings, torch.tensor(self.decays, device=device())
        decays = decays.repeat_interleave(s.starts)
        drawn = batches(self.fits, self.random, s.batches)
        for step, batch in enumerate(drawn, start=epoch * s.batches):
            lr = s.lr * (1 + np.cos(np.pi * step / (s.epochs * s.batches))) / 2
            adam.param_groups[0]["lr"] = lr
            adam.zero_grad()
            loss = self._loss(self.weights, slice(None), *batch)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            with torch.no_grad():  # decoupled weight decay; unconnected weights are set to zero
                factor = 1 - lr * decays[:, None, None]
                self.weights[0] *= factor * self.connected
                self.weights[2] *= factor
        return float(loss.detach())

    def _loss(
        self,
        weights: Sequence[Tensor],
        fits: slice,
        x_index: Int[Tensor, "fits rows"],
        target_index: Int[Tensor, "fits rows"],
        row_weight: Float32[Tensor, "fits rows"],
    ) -> Float32[Tensor, ""]:
        """Return the sum over networks of cross entropies and halved mean squared errors."""
        added = forward(gather_rows(self.x, x_index), weights)
        y = gather_rows(self.target, target_index).transpose(1, 2)[:, None].contiguous()
        row_weight = row_weight[:, None, None]
        split = sum(fit.probe_task.classes > 0 for fit in self.fits[fits])
        log_p = (self.prior[fits][:split] + added[:split]).log_softmax(2)
        squares = (added[split:] - y[split:]) ** 2 * self.output_weight[fits][split:]
        loss: Tensor = (squares * row_weight[split:]).sum() / 2
        loss -= (log_p * y[:split] * row_weight[:split]).sum()
        return loss

    @torch.no_grad()
    def _outputs(
        self, fit: Fit, rows: Int[np.ndarray, " rows"]
    ) -> Float64[Tensor, "decays starts rows outputs"]:
        """Return the outputs of the networks of one fit for some rows of `x`."""
        i = self.fits.index(fit)
        added = forward(gather_rows(self.x, rows[None]), [w[i : i + 1] for w in self.weights])[0]
        used: Tensor = added[:, : len(fit.origin)].transpose(1, 2).double()
        return used.reshape(len(self.decays), self.settings.starts, *used.shape[1:])

    def _predict(self, task: Sequence[Fit]) -> Prediction:
        """Select a task's weight decay, and predict its test rows with the ensemble of starts."""
        *inner, full = task
        train = full.probe_task.train
        validated, weights = [], torch.empty(0)
        for fit in task:
            added = self._outputs(fit, fit.x_offset + train)
            weights = fit.start_weights(added)
            validated.append((weights * added[:, :, fit.validation_rows]).sum(1))
        shrunk = shrunk_logits if full.probe_task.classes else shrunk_values
        scores, factors = shrunk(inner, torch.cat(validated, dim=1)).cpu().numpy()
        self._refuse_infinite(scores.sum(), "score on the inner folds")
        cv_predicted = np.full((len(self.decays), len(train), len(full.origin)), np.nan)
        for fit, added in zip(inner, validated, strict=False):
            predicted = fit.predicted(added.cpu().numpy(), factors[:, None, None])
            cv_predicted[:, fit.validation_rows] = predicted
        selection = Selection.best(self.decays, scores, cv_predicted)
        decay = self.decays.index(selection.penalty)
        added = (weights * self._outputs(full, full.x_offset + full.probe_task.test)).sum(1)
        return Prediction(
            full.predicted(added[decay].cpu().numpy(), factors[decay]),
            selection,
            self._gradient_norm(full, decay),
            self.settings.epochs * self.settings.batches,
        )

    def _gradient_norm(self, fit: Fit, decay: int) -> float:
        """Return the largest absolute entry of the loss's gradient in one fit's networks."""
        i, starts = self.fits.index(fit), self.settings.starts
        nets = slice(decay * starts, (decay + 1) * starts)
        leaves = [w.detach()[i : i + 1, nets].clone().requires_grad_() for w in self.weights]
        x_index, target_index = (
            torch.from_numpy(a[None]).to(device())
            for a in (fit.x_rows(fit.rows), fit.target_offset + fit.rows)
        )
        row_weight = torch.full(x_index.shape, 1 / len(fit.rows), device=device())
        loss = self._loss(leaves, slice(i, i + 1), x_index, target_index, row_weight)
        first, *rest = torch.autograd.grad(loss, leaves)
        return max(float(g.abs().max()) for g in (first * self.connected, *rest))
