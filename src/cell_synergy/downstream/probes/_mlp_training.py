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
    """Networks of all fits (classifications first) and weight decays, trained as one model.

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
        Arrays (fits, 1, 1, outputs): logits of the class shares, and weights of a regression's
        squared errors. Padded outputs have no probability and no weight.
    connected
        Mask (d, hidden) of the features that a hidden unit reads.
    weights
        Hidden layer (fits, d, decays, hidden) and its bias, output layer (fits, decays, hidden,
        outputs) and its bias.
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
        components = [
            [principal_components(block, rows, settings.axes) for rows in row_sets.values()]
            for block in blocks
        ]
        self.widths = [max(1, *(part.shape[1] for part in parts)) for parts in components]
        stacked = [pad_and_stack(*pair) for pair in zip(components, self.widths, strict=True)]
        self.x = torch.cat(stacked, dim=1)
        self.n_outputs = max(len(fit.origin) for fit in self.fits)
        self.target = pad_and_stack([tensor(fit.target) for fit in self.fits], self.n_outputs)
        self.prior, self.output_weight = self._output_masks()
        target_offset = 0
        for fit in self.fits:
            fit.target_offset, target_offset = target_offset, target_offset + len(fit.target)
        self.connected = self._join_blocks([torch.ones(w, settings.hidden) for w in self.widths])
        self.connected = self.connected.to(device())
        self.weights = self._initial_weights()

    def _output_masks(self) -> tuple[Tensor, Tensor]:
        """Return `prior` and `output_weight`."""
        shape = len(self.fits), 1, 1, self.n_outputs
        priors, output_weights = torch.zeros(2, *shape, device=device())
        for fit, prior, weight in zip(self.fits, priors, output_weights, strict=True):
            if fit.probe_task.classes:
                prior[..., len(fit.origin) :] = _NO_CLASS
                prior[..., : len(fit.origin)] = tensor(fit.origin)
            else:
                weight[..., : len(fit.origin)] = 1 / len(fit.origin)
        return priors, output_weights

    def _initial_weights(self) -> list[Tensor]:
        """Return the initial `weights`, with equal hidden layers for all weight decays."""
        layers = [self._hidden_layer(fit) for fit in self.fits]
        decays, hidden = self.settings.strengths, self.connected.shape[1]
        second = torch.zeros(len(self.fits), decays, hidden, self.n_outputs, device=device())
        for fit, layer in zip(self.fits, second, strict=True):
            drawn = draw_normal(self.seed, "outputs", len(fit.origin), hidden)
            layer[..., : len(fit.origin)] = drawn.T * _OUTPUT_SCALE / hidden**0.5
        return [
            torch.stack(layers)[:, :, None].repeat(1, 1, decays, 1),
            torch.zeros(len(layers), 1, decays, hidden, device=device()),
            second,
            torch.zeros(len(layers), decays, 1, self.n_outputs, device=device()),
        ]

    def _join_blocks(
        self, layers: Sequence[Float32[Tensor, "_ hidden"]]
    ) -> Float32[Tensor, "d wide"]:
        """Concatenate the blocks' hidden layers; in late fusion a layer reads one block only."""
        if not self.late:
            return torch.cat(list(layers))
        hidden, last = self.settings.hidden, len(layers) - 1
        margins = [(hidden * i, hidden * (last - i)) for i in range(len(layers))]
        return torch.cat([pad(layer, m) for layer, m in zip(layers, margins, strict=True)])

    def _hidden_layer(self, fit: Fit) -> Float32[Tensor, "d hidden"]:
        """Return initial weights of the hidden layer, computed from the fitted rows."""
        hidden, powers = self.settings.hidden, self.settings.powers
        contrasts = fit.contrasts(hidden, self.seed)
        x = gather_rows(self.x, fit.x_rows(fit.rows))
        ends = np.cumsum(self.widths).tolist()
        blocks = [x[:, end - w : end] for w, end in zip(self.widths, ends, strict=True)]
        random = [
            draw_normal(self.seed, f"block {n}", w, hidden) for n, w in enumerate(self.widths)
        ]
        if not self.late:
            return self._join_blocks(interaction_directions(blocks, contrasts, random, powers))
        return self._join_blocks(
            [
                interaction_directions([block], contrasts, [start], powers)[0]
                for block, start in zip(blocks, random, strict=True)
            ]
        )

    def run(self) -> list[Prediction]:
        """Train, score the validation rows after each epoch, and predict every task's test rows.

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
        full_fits = [i for i, fit in enumerate(self.fits) if not len(fit.validation_rows)]
        history, snapshots = [], []
        for epoch in range(self.settings.epochs):
            loss = self._train(adam, epoch)
            history.append(self._validation_scores())
            if not (np.isfinite(loss) and np.isfinite(history[-1]).all()):
                raise ConfigError(
                    f"the nonlinear probe's loss is {loss:g} in epoch {epoch}; "
                    f"lower probe.mlp.lr, now {self.settings.lr:g}"
                )
            snapshots.append([w.detach()[full_fits] for w in self.weights])
        predictions = []
        for number, task in enumerate(self.tasks):
            scores, factors = np.array([epoch[number] for epoch in history]).swapaxes(0, 1)
            probe_task = task[-1].probe_task
            shape = len(self.decays), len(probe_task.train), probe_task.outputs
            unknown = np.full(shape, np.nan)
            selection = Selection.best(self.decays, scores.max(axis=0), unknown)
            decay = self.decays.index(selection.penalty)
            epoch = int(scores[:, decay].argmax())
            axes = zip(snapshots[epoch], (2, 2, 1, 1), strict=True)
            weights = [w[number : number + 1].narrow(axis, decay, 1) for w, axis in axes]
            steps = (epoch + 1) * self.settings.batches
            predictions.append(
                self._predict(task[-1], weights, factors[epoch, decay], selection, steps)
            )
        return predictions

    def _train(self, adam: torch.optim.Adam, epoch: int) -> float:
        """Take the optimiser steps of one epoch and return the last loss."""
        s, decays = self.settings, torch.tensor(self.decays, device=device())
        drawn = batches(self.fits, self.random, s.batches)
        for step, batch in enumerate(drawn, start=epoch * s.batches):
            lr = s.lr * (1 + np.cos(np.pi * step / (s.epochs * s.batches))) / 2
            adam.param_groups[0]["lr"] = lr
            adam.zero_grad()
            loss = self._loss(self.weights, slice(None), *batch)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            with torch.no_grad():  # decoupled weight decay; unconnected weights are set to zero
                factor = 1 - lr * decays[:, None]
                self.weights[0] *= factor * self.connected[:, None]
                self.weights[2] *= factor[:, None]
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
        y = gather_rows(self.target, target_index)[:, None]
        row_weight = row_weight[:, None, :, None]
        split = sum(fit.probe_task.classes > 0 for fit in self.fits[fits])
        log_p = (self.prior[fits][:split] + added[:split]).log_softmax(3)
        squares = (added[split:] - y[split:]) ** 2 * self.output_weight[fits][split:]
        loss: Tensor = (squares * row_weight[split:]).sum() / 2
        loss -= (log_p * y[:split] * row_weight[:split]).sum()
        return loss

    @torch.no_grad()
    def _validation_scores(self) -> Float64[np.ndarray, "tasks 2 decays"]:
        """Return each weight decay's best validation score and its shrinkage factor."""
        cv = [i for i, fit in enumerate(self.fits) if len(fit.validation_rows)]
        most = max(len(self.fits[i].validation_rows) for i in cv)
        x_index = [np.resize(f.x_rows(f.validation_rows), most) for f in (self.fits[i] for i in cv)]
        x = gather_rows(self.x, np.stack(x_index))
        added = iter(forward(x, [w[cv] for w in self.weights]))
        scores = []
        for *task, _ in self.tasks:
            parts = [next(added)[:, : len(fit.validation_rows), : len(fit.origin)] for fit in task]
            shrunk = shrunk_logits if task[0].probe_task.classes else shrunk_values
            scores.append(shrunk(task, torch.cat(parts, dim=1).double()).cpu().numpy())
        return np.array(scores)

    def _predict(
        self, fit: Fit, weights: Sequence[Tensor], shrink: float, selection: Selection, steps: int
    ) -> Prediction:
        """Predict a task's test rows with one weight decay of its fit to all training rows."""
        test = gather_rows(self.x, fit.x_offset + fit.probe_task.test[None])
        added = forward(test, weights)[0, 0, :, : len(fit.origin)]
        i, leaves = self.fits.index(fit), [w.clone().requires_grad_() for w in weights]
        x_index, target_index = (
            torch.from_numpy(a[None]).to(device())
            for a in (fit.x_rows(fit.rows), fit.target_offset + fit.rows)
        )
        row_weight = torch.full(x_index.shape, 1 / len(fit.rows), device=device())
        loss = self._loss(leaves, slice(i, i + 1), x_index, target_index, row_weight)
        first, *rest = torch.autograd.grad(loss, leaves)
        norm = max(float(g.abs().max()) for g in (first * self.connected[:, None], *rest))
        predicted = fit.predicted(added.double().cpu().numpy(), shrink)
        return Prediction(predicted, selection, norm, steps)
