"""Fine-tuning of an expert on one task: trainable parameters and a linear head are fitted jointly.

Fine-tuning starts at the linear probe: the head is initialised with its exact solution on frozen
features and keeps its penalty. A randomly initialised head would first distort the features, which
costs most on donors that were not seen (Kumar et al. 2022, arXiv:2202.10054). If no parameter of
the expert is trainable, the prediction is that of the linear probe.

Each task is fitted separately. The number of rounds is selected on inner folds of training donors:
for each of the smallest folds, until together they have enough rows, one trainer is fitted without
the fold and validated on it after every round. The validation score is maximised over a shrinkage
factor between 0 and 1 of the head's outputs. Predictions come from a last trainer, fitted to all
training rows for the selected number of rounds, with the factor selected for that round.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int
from torch import Tensor

from cell_synergy.core.device import device
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.random import derived_seed, stream
from cell_synergy.downstream.probes._mlp_fits import Fit, shrunk_logits, shrunk_values
from cell_synergy.downstream.probes._mlp_init import tensor
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.design import Design, Linear
from cell_synergy.downstream.probes.tasks import Prediction, ProbeTask, Selection
from cell_synergy.finetuning.adapters import AdaptedExpert, Params
from cell_synergy.finetuning.config import FinetuneConfig
from cell_synergy.finetuning.frozen_features import FrozenFeatures


@dataclass(frozen=True)
class FinetuneResult:
    """The result of fine-tuning on one task.

    Attributes
    ----------
    prediction
        Predictions for the test rows; the selected `penalty` is the number of rounds.
    params
        Trained parameters of the expert.
    coefficients, intercept
        Head, which maps standardised features to logits or values.
    features
        Features of all observations by the fine-tuned expert, standardised as those of the frozen
        one; None unless `Finetuner.run` was to compute them.
    """

    prediction: Prediction
    params: Params
    coefficients: Float64[np.ndarray, "d outputs"]
    intercept: Float64[np.ndarray, " outputs"]
    features: Float32[np.ndarray, "obs d"] | None


class Finetuner:
    """Fine-tuning of an expert on one task.

    Parameters
    ----------
    adapted, settings
        The expert with its trainable parameters, and configuration of fine-tuning.
    frozen
        Features of the frozen expert.
    task
        Train/test problem, with the inner folds of its training rows.
    penalty, probe
        L2 penalty of the linear probe, selected on these inner folds, and settings of its solver.
    seed
        Seed of adapters, batches, subsampled cells and dropout.
    """

    def __init__(
        self,
        adapted: AdaptedExpert,
        frozen: FrozenFeatures,
        task: ProbeTask,
        penalty: float,
        probe: ProbeConfig,
        settings: FinetuneConfig,
        seed: int,
    ) -> None:
        self.adapted, self.frozen, self.task = adapted, frozen, task
        self.penalty, self.probe, self.settings, self.seed = penalty, probe, settings, seed
        self.design = Design.of(frozen.z[task.train], task.cv_folds)

    def run(self, *, with_features: bool = False) -> FinetuneResult:
        """Select the number of rounds, fit all training rows, and predict the test rows.

        If no parameter of the expert is trainable, the result is the linear probe.

        Parameters
        ----------
        with_features
            Whether to return the features of all observations, for other probes.

        Raises
        ------
        ConfigError
            If the loss is not finite.
        """
        trainers = [_Trainer(self, inner_fold) for inner_fold in self._validation_folds()]
        validations = [self._validate(trainers)]
        for _ in range(self.settings.rounds if self.adapted.names else 0):
            for trainer in trainers:
                trainer.train()
            validations.append(self._validate(trainers))
        scores, factors, predicted = map(np.array, zip(*validations, strict=True))
        selection = Selection.best([*map(float, range(len(scores)))], scores, predicted)
        final = _Trainer(self, None)
        while final.rounds < selection.penalty:
            final.train()
        factor = float(factors[final.rounds])
        return self._result(final, selection, factor, with_features=with_features)

    def _validation_folds(self) -> list[int]:
        """Return the smallest inner folds that together have `settings.held` rows or more."""
        inner_folds, sizes = np.unique(self.task.cv_folds, return_counts=True)
        order = np.argsort(sizes, kind="stable")
        enough = int(np.searchsorted(np.cumsum(sizes[order]), self.settings.held)) + 1
        return [int(inner_fold) for inner_fold in inner_folds[order[:enough]]]

    @torch.no_grad()
    def _validate(
        self, trainers: Sequence["_Trainer"]
    ) -> tuple[float, float, Float64[np.ndarray, "train outputs"]]:
        """Return the best score on validation rows, its shrinkage factor, and the predictions."""
        fits, train = [trainer.fit for trainer in trainers], self.task.train
        outputs = [
            trainer.outputs(trainer.features(train[trainer.fit.validation_rows]))
            for trainer in trainers
        ]
        shrunk = shrunk_logits if self.task.classes else shrunk_values
        score, factor = shrunk(fits, torch.cat(outputs)[None].double())[:, 0].tolist()
        predicted = np.full((len(train), self.task.outputs), np.nan)
        for fit, output in zip(fits, outputs, strict=True):
            predicted[fit.validation_rows] = fit.predicted(output.double().cpu().numpy(), factor)
        return score, factor, predicted

    @torch.no_grad()
    def _result(
        self, final: "_Trainer", selection: Selection, factor: float, *, with_features: bool
    ) -> FinetuneResult:
        test, all_rows = self.task.test, np.arange(len(self.frozen.z))
        z = final.features(all_rows if with_features else test)
        outputs = final.outputs(z[test] if with_features else z).double().cpu().numpy()
        predicted = final.fit.predicted(outputs, factor)
        prediction = Prediction(predicted, selection, final.norm, final.rounds * final.steps)
        weight, bias = (part.detach().double().cpu().numpy() for part in final.head)
        scale = factor * final.fit.scale
        intercept = final.fit.origin + bias * scale
        features = z.cpu().numpy() if with_features else None
        return FinetuneResult(prediction, final.params, weight * scale, intercept, features)


class _Trainer:
    """One fit: to all training rows, or to those outside one inner fold.

    Attributes
    ----------
    fit
        Fitted rows, validation rows and targets.
    params
        Trainable parameters of the expert.
    head
        Coefficients and intercept, for the deviation from `fit.origin` in units of `fit.scale`.
    rounds
        Number of completed rounds.
    steps
        Number of optimiser steps per round: of one pass over the rows, at most `settings.steps`.
    norm
        Largest absolute entry of the gradient: of the linear probe, then of the last batch.
    """

    def __init__(self, tuning: Finetuner, inner_fold: int | None) -> None:
        self.tuning, self.rounds = tuning, 0
        self.fit = fit = Fit(tuning.task, inner_fold, 0)
        linear = self._linear_probe(inner_fold)
        self.norm = linear.gradient_norm
        scale = np.where(fit.scale == 0, 1, fit.scale)
        start = linear.coefficients / scale, (linear.intercept - fit.origin) / scale
        self.head = [tensor(part).requires_grad_() for part in start]
        self.steps = min(tuning.settings.steps, -(-len(fit.rows) // tuning.settings.batch_size))
        self.target, self.origin = tensor(fit.target), tensor(fit.origin)
        self.params = tuning.adapted.start(tuning.seed)
        decay = tuning.settings.weight_decay
        groups = [
            {"params": list(self.params.values()), "weight_decay": decay},
            {"params": self.head, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=tuning.settings.lr, fused=True)

    def _linear_probe(self, inner_fold: int | None) -> Linear:
        """Return the linear probe of the frozen features, fitted to the rows of this fit."""
        task, probe, penalties = self.tuning.task, self.tuning.probe, [self.tuning.penalty]
        design = self.tuning.design
        if inner_fold is not None:
            design = design.part(task.cv_folds != inner_fold)
        y = task.y[self.fit.rows]
        if not task.classes:
            return design.ridge(y, penalties)[0]
        return design.logistic(y, task.classes, penalties, probe.tolerance, probe.iterations)[0]

    def train(self) -> None:
        """Take the optimiser steps of one round."""
        seed, settings = self.tuning.seed, self.tuning.settings
        rng = stream(seed, "finetune", self.fit.name, str(self.rounds))
        torch.manual_seed(derived_seed(seed, "dropout", self.fit.name, str(self.rounds)))
        rows = rng.permutation(self.fit.rows)[: self.steps * settings.batch_size]
        n_steps = settings.rounds * self.steps
        for step, batch in enumerate(
            np.array_split(rows, self.steps), start=self.rounds * self.steps
        ):
            for group in self.optimiser.param_groups:
                warmup = min((step + 1) / self.steps, 1)
                group["lr"] = warmup * settings.lr * (1 + np.cos(np.pi * step / n_steps)) / 2
            self.optimiser.zero_grad()
            loss = self.loss(batch, rng)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
        if not np.isfinite(value := float(loss.detach())):
            raise ConfigError(
                f"the loss is {value} in round {self.rounds}; lower finetune.{settings.how}.lr, "
                f"now {settings.lr:g}"
            )
        trained = [*self.params.values(), *self.head]
        self.norm = max(float(p.grad.abs().max()) for p in trained if p.grad is not None)
        self.rounds += 1

    def loss(
        self, batch: Int[np.ndarray, " batch"], rng: np.random.Generator
    ) -> Float32[Tensor, ""]:
        """Return the objective of the linear probe: mean loss plus penalty of the coefficients.

        `batch` indexes the task's training rows; `rng` subsamples cells.
        """
        rows = self.tuning.task.train[batch]
        features = self.tuning.adapted.features(self.params, rows, rng)
        outputs = self.outputs(self._standardised(features, rows))
        y = self.target[torch.from_numpy(batch).to(device())]
        if self.tuning.task.classes:
            losses = -((self.origin + outputs).log_softmax(1) * y).sum(1)
        else:
            losses = ((outputs - y) ** 2).sum(1) / 2
        return losses.mean() + self.tuning.penalty / 2 * (self.head[0] ** 2).sum()

    def features(self, rows: Int[np.ndarray, " rows"]) -> Float32[Tensor, "rows d"]:
        """Return the standardised features of some observations, from all their cells."""
        if not self.rounds:
            return tensor(self.tuning.frozen.z[rows])
        return self._standardised(self.tuning.adapted.embed(self.params, rows), rows)

    def outputs(self, z: Float[Tensor, "rows d"]) -> Float[Tensor, "rows outputs"]:
        """Return the outputs of the head for standardised features."""
        return z @ self.head[0] + self.head[1]

    def _standardised(
        self, x: Float32[Tensor, "rows d"], rows: Int[np.ndarray, " rows"]
    ) -> Float32[Tensor, "rows d"]:
        frozen = self.tuning.frozen
        group = frozen.group[rows]
        return (x - tensor(frozen.mean[group])) * tensor(frozen.factor[group])
