"""The one loop: adapters, or the last layers, learn one task together with a linear head.

Fine-tuning begins at the linear probe: its exact solution on frozen features is the head, and its
penalty stays on the head. A head that starts at random would first distort the features, which
costs most on donors that were not seen (Kumar et al. 2022, arXiv:2202.10054). With nothing but the
head to learn there is nothing left to do, and the answer is the linear probe's.

Each task is learnt for itself: a probe of one task sees no other task's labels either. Copies of
the tensors that learn are trained in step, and each leaves one inner fold of training donors out:
the smallest fold, and further ones while few rows are left out. The round with the best score on
these is chosen, with the factor that shrinks what the head adds to the prior; a last copy learns
from all training rows for as many rounds, and answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int, Shaped
from torch import Tensor

from cell_synergy.core.device import device
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.random import integer, stream
from cell_synergy.data.embeddings import standardise
from cell_synergy.downstream.probes._mlp_fits import Fit, shrunk_logits, shrunk_values
from cell_synergy.downstream.probes._mlp_init import tensor
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.design import Design, Linear
from cell_synergy.downstream.probes.tasks import Answer, Chosen, Question
from cell_synergy.finetuning.adapters import Adapted, Tuned
from cell_synergy.finetuning.config import FinetuneConfig


@dataclass(frozen=True)
class Frozen:
    """The expert's features before anything is learnt, and how they are standardised.

    The same mean and factor standardise what fine-tuning makes of the features.

    Attributes
    ----------
    z
        Standardised features of all units.
    mean, factor
        Of each group that is standardised for itself: z is (features - mean) * factor.
    group
        Number of each unit's group.
    """

    z: Float32[np.ndarray, "obs d"]
    mean: Float32[np.ndarray, "groups d"]
    factor: Float32[np.ndarray, "groups d"]
    group: Int[np.ndarray, " obs"]

    @classmethod
    def of(
        cls,
        x: Float32[np.ndarray, "obs d"],
        fit: Bool[np.ndarray, " obs"],
        groups: Shaped[np.ndarray, " obs"],
        mode: str,
    ) -> "Frozen":
        """Standardise features as `data.units.embeddings.standardise` does."""
        _, numbers = np.unique(groups, return_inverse=True)
        own = [fit] if mode == "train" else [numbers == n for n in range(numbers.max() + 1)]
        known = [moments(x[rows]) for rows in own]
        mean, factor = (np.stack(parts) for parts in zip(*known, strict=True))
        group = np.zeros_like(numbers) if mode == "train" else numbers
        return cls(standardise(x, fit, groups, mode), mean, factor, group)


def moments(
    x: Float32[np.ndarray, "obs d"],
) -> tuple[Float32[np.ndarray, " d"], Float32[np.ndarray, " d"]]:
    """Return the mean of each feature, and one over its deviation; 0 for one that is constant."""
    mean, deviation = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    constant = deviation < 1e-6 * (np.abs(mean) + 1)
    factor = np.where(constant, 0, 1 / np.where(constant, 1, deviation))
    return mean.astype(np.float32), factor.astype(np.float32)


@dataclass(frozen=True)
class Found:
    """What was learnt.

    Attributes
    ----------
    answer
        Predictions of the test rows; `strength` is the number of rounds.
    tuned
        Tensors of the expert.
    coefficients, intercept
        The head: from standardised features to logits, or to values.
    """

    answer: Answer
    tuned: Tuned
    coefficients: Float64[np.ndarray, "d outputs"]
    intercept: Float64[np.ndarray, " outputs"]


class Tuning:
    """One question to an expert that can learn it.

    Parameters
    ----------
    adapted
        The expert, and which of its tensors learn.
    frozen
        Its features before that.
    question
        Rows, labels and inner folds.
    strength
        Penalty of the linear probe, chosen on the same inner folds.
    probe
        How the linear probe is fitted.
    settings
        The loop.
    seed
        Of adapters, batches and dropout.
    """

    def __init__(
        self,
        adapted: Adapted,
        frozen: Frozen,
        question: Question,
        strength: float,
        probe: ProbeConfig,
        settings: FinetuneConfig,
        seed: int,
    ) -> None:
        self.adapted, self.frozen, self.question = adapted, frozen, question
        self.strength, self.probe, self.settings, self.seed = strength, probe, settings, seed
        self.design = Design.of(frozen.z[question.train], question.inner)

    def run(self) -> Found:
        """Learn and answer.

        Raises
        ------
        ConfigError
            If the loss is not finite.
        """
        copies = [_Copy(self, number) for number in self._left_out()]
        looks = [self._look(copies)]
        for _ in range(self.settings.rounds if self.adapted.names else 0):
            for copy in copies:
                copy.train()
            looks.append(self._look(copies))
        grid = [float(number) for number in range(len(looks))]
        chosen = Chosen.best(grid, np.array([score for score, _ in looks]))
        final = _Copy(self, None)
        while final.rounds < chosen.strength:
            final.train()
        return self._found(final, chosen, looks[final.rounds][1])

    def _left_out(self) -> list[int]:
        """Return the inner folds that are left out: smallest first, until their rows suffice."""
        numbers, sizes = np.unique(self.question.inner, return_counts=True)
        order = np.argsort(sizes, kind="stable")
        enough = int(np.searchsorted(np.cumsum(sizes[order]), self.settings.held)) + 1
        return [int(number) for number in numbers[order[:enough]]]

    @torch.no_grad()
    def _look(self, copies: Sequence["_Copy"]) -> tuple[float, float]:
        """Return the score on the rows left out, and the factor that reaches it."""
        fits, train = [copy.fit for copy in copies], self.question.train
        added = torch.cat([copy.added(train[copy.fit.held]) for copy in copies])[None]
        shrunk = shrunk_logits if self.question.classes else shrunk_values
        score, factor = shrunk(fits, added.double())[:, 0].tolist()
        return score, factor

    @torch.no_grad()
    def _found(self, copy: "_Copy", chosen: Chosen, shrink: float) -> Found:
        added = copy.added(self.question.test).double().cpu().numpy()
        predicted = copy.fit.predicted(added, shrink)
        answer = Answer(predicted, chosen, copy.norm, copy.rounds * copy.steps)
        weight, bias = (part.detach().double().cpu().numpy() for part in copy.head)
        scale = shrink * copy.fit.scale
        return Found(answer, copy.tuned, weight * scale, copy.fit.origin + bias * scale)


class _Copy:
    """The tensors that learn, for one fit: to all training rows, or those outside one inner fold.

    Attributes
    ----------
    fit
        Rows and targets.
    tuned
        Of the expert.
    head
        Coefficients and intercept of what is added to the origin, in units of the fit's scale.
    rounds
        Done.
    steps
        Of each: a pass over the rows, or `settings.steps` where that is fewer.
    norm
        Largest entry of the gradient: of the linear probe, then of the last batch.
    """

    def __init__(self, tuning: Tuning, number: int | None) -> None:
        self.tuning, self.rounds = tuning, 0
        self.fit = fit = Fit(tuning.question, number, 0)
        linear = self._linear_probe(number)
        self.norm = linear.gradient_norm
        scale = np.where(fit.scale == 0, 1, fit.scale)
        start = linear.coefficients / scale, (linear.intercept - fit.origin) / scale
        self.head = [tensor(part).requires_grad_() for part in start]
        self.steps = min(tuning.settings.steps, -(-len(fit.rows) // tuning.settings.batch_size))
        self.target = tensor(fit.target)
        self.origin = tensor(fit.origin)
        self.tuned = tuning.adapted.start(tuning.seed)
        decay = tuning.settings.weight_decay
        groups = [
            {"params": list(self.tuned.values()), "weight_decay": decay},
            {"params": self.head, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=tuning.settings.lr, fused=True)

    def _linear_probe(self, number: int | None) -> Linear:
        """Return the exact head for frozen features."""
        of = self.tuning
        question, probe = of.question, of.probe
        design = of.design if number is None else of.design.part(question.inner != number)
        y = question.y[self.fit.rows]
        if not question.classes:
            return design.ridge(y, [of.strength])[0]
        fits = design.logistic(
            y, question.classes, [of.strength], probe.tolerance, probe.iterations
        )
        return fits[0]

    def train(self) -> None:
        """Take the steps of one round."""
        of, settings = self.tuning, self.tuning.settings
        random = stream(of.seed, "finetune", self.fit.name, str(self.rounds))
        torch.manual_seed(integer(of.seed, "dropout", self.fit.name, str(self.rounds)))
        drawn = random.permutation(self.fit.rows)[: self.steps * settings.batch_size]
        lr, last = settings.lr, settings.rounds * self.steps
        for step, rows in enumerate(
            np.array_split(drawn, self.steps), start=self.rounds * self.steps
        ):
            for group in self.optimiser.param_groups:
                warm = min((step + 1) / self.steps, 1)
                group["lr"] = warm * lr * (1 + np.cos(np.pi * step / last)) / 2
            self.optimiser.zero_grad()
            loss = self.loss(rows, random)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
        if not np.isfinite(value := float(loss.detach())):
            raise ConfigError(
                f"the loss is {value} in round {self.rounds}; lower finetune.{settings.how}.lr, "
                f"now {lr:g}"
            )
        learnt = [*self.tuned.values(), *self.head]
        self.norm = max(float(p.grad.abs().max()) for p in learnt if p.grad is not None)
        self.rounds += 1

    def loss(
        self, rows: Int[np.ndarray, " batch"], random: np.random.Generator
    ) -> Float32[Tensor, ""]:
        """Return the linear probe's objective: mean loss, and the penalty of coefficients."""
        units = self.tuning.question.train[rows]
        features = self.tuning.adapted.features(self.tuned, units, random)
        added = self._head(self._scaled(features, units))
        y = self.target[torch.from_numpy(rows).to(device())]
        if self.tuning.question.classes:
            losses = -((self.origin + added).log_softmax(1) * y).sum(1)
        else:
            losses = ((added - y) ** 2).sum(1) / 2
        return losses.mean() + self.tuning.strength / 2 * (self.head[0] ** 2).sum()

    def added(self, units: Int[np.ndarray, " rows"]) -> Float32[Tensor, "rows outputs"]:
        """Return what the head adds to the origin."""
        if not self.rounds:
            return self._head(tensor(self.tuning.frozen.z[units]))
        return self._head(self._scaled(self.tuning.adapted.embed(self.tuned, units), units))

    def _head(self, z: Float[Tensor, "rows d"]) -> Float[Tensor, "rows outputs"]:
        return z @ self.head[0] + self.head[1]

    def _scaled(
        self, x: Float32[Tensor, "rows d"], units: Int[np.ndarray, " rows"]
    ) -> Float32[Tensor, "rows d"]:
        frozen = self.tuning.frozen
        group = frozen.group[units]
        return (x - tensor(frozen.mean[group])) * tensor(frozen.factor[group])
