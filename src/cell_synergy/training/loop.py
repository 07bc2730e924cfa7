"""The one training loop: every method that learns by gradient steps goes through it.

All folds and seeds train together as one batched model. The whole data set lies on the device; an
epoch is a fresh permutation of each fold cut into batches, the last short one dropped. AdamW with
a cosine schedule. Each purpose (initial weights, batches, augmentation) has its own random stream,
so an interrupted run continues bit for bit.
"""

from abc import abstractmethod
from collections.abc import Sequence
from time import monotonic
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from tqdm import tqdm

from cell_synergy.core.config import Config, validate
from cell_synergy.core.device import device
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.random import integer
from cell_synergy.core.signals import held_back
from cell_synergy.training.checkpoint import Checkpoint
from cell_synergy.training.method import Job, Method, Pairs, Run, Weights
from cell_synergy.training.modules import Inputs, Network
from cell_synergy.training.replicas import Rows, Stack

SECONDS_BETWEEN_CHECKPOINTS = 20.0  # a checkpoint changes when a run can resume, never its result


class TrainingConfig(Config):
    """What all trained methods share; see params.yaml for units and sources."""

    max_epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    weight_decay: NonNegativeFloat
    noise_std: NonNegativeFloat
    feature_dropout: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["float32", "bfloat16"]


class Trained(Method):
    """A method that is one network and one loss; `lr` is AdamW's first step size."""

    lr: PositiveFloat

    @property
    def seeded(self) -> bool:
        """Initial weights, batches and augmentation are drawn."""
        return True

    @abstractmethod
    def network(self, d1: int, d2: int) -> Network:
        """Return a freshly initialised network for embeddings of these dimensions."""

    def batch(self, training: TrainingConfig, rows: int) -> int:
        """Return the number of pairs per step, where the smallest fold has `rows`."""
        if rows < training.batch_size:
            raise ConfigError(
                f"training.batch_size: {training.batch_size} is more than the "
                f"{rows} training pairs; set it lower"
            )
        return training.batch_size

    def finish(self, weights: Weights, pairs: Pairs) -> Weights:  # noqa: ARG002 - for overriding
        """Return the weights, with what is computed once training is done."""
        return weights

    def fit(self, jobs: Sequence[Job], run: Run) -> list[Weights]:
        """Optimise the network's loss on every job at once; return what gives `z3`."""
        training = validate(TrainingConfig, dict(run.training), "training")
        networks = []
        for job in jobs:
            torch.manual_seed(integer(job.seed, "initial weights"))
            networks.append(self.network(job.pairs.image.shape[1], job.pairs.expression.shape[1]))
        stack = Stack([network.to(device()) for network in networks])
        _Loop(self, stack, training, jobs, run).run()
        kept = [stack.network.kept(copy) for copy in stack.copies()]
        arrays = [{k: v.cpu().numpy() for k, v in copy.items()} for copy in kept]
        return [self.finish(a, job.pairs) for a, job in zip(arrays, jobs, strict=True)]

    @torch.inference_mode()
    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> Float32[np.ndarray, "obs d3"]:
        """Run the network in evaluation mode."""
        network = self.network(image.shape[1], expression.shape[1])
        state = {k: torch.from_numpy(v).float() for k, v in weights.items()}
        wanted = network.kept(network.state_dict())
        shapes = ({(k, v.shape) for k, v in d.items()} for d in (state, wanted))
        if wrong := sorted({name for name, _ in next(shapes) ^ next(shapes)}):
            raise ConfigError(f"weights of another network: {', '.join(wrong)}; align again")
        network.load_state_dict(state, strict=False)
        network.to(device()).eval()
        inputs = (torch.from_numpy(image).to(device()), torch.from_numpy(expression).to(device()))
        joint: Float32[np.ndarray, "obs d3"] = network.joint(inputs).cpu().numpy()
        return joint


class _Loop:
    """One run of the training loop over all jobs."""

    def __init__(
        self, method: Trained, stack: Stack, training: TrainingConfig, jobs: Sequence[Job], run: Run
    ) -> None:
        self.stack, self.training, self.jobs, self.run_ = stack, training, jobs, run
        self.rows = Rows([_tensors(job.pairs) for job in jobs], device())
        self.held = Rows([_tensors(job.held) for job in jobs], device())
        self.batch = method.batch(training, min(self.rows.sizes))
        self.steps = max(self.rows.sizes) // training.batch_size
        self.optimiser = torch.optim.AdamW(
            stack.learnt.values(), lr=method.lr, weight_decay=training.weight_decay, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimiser, training.max_epochs * self.steps
        )
        seeds = [integer(job.seed, "batches") for job in jobs]
        self.batches = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.augmentation = _generator(integer(jobs[0].seed, "augmentation"))

    def run(self) -> None:
        """Train to the last epoch, from the checkpoint if there is one.

        An interrupt ends the epoch, writes a checkpoint and is raised then.
        """
        generators = [*self.batches, self.augmentation]
        checkpoint = Checkpoint(self.run_.checkpoint, self.stack, self.optimiser, self.schedule)
        curves = checkpoint.resume(generators)
        for epoch, losses in enumerate(curves):
            self._log(losses, epoch)
        saved = monotonic()
        epochs = range(len(curves), self.training.max_epochs)
        progress = tqdm(
            epochs, self.run_.label, self.training.max_epochs, initial=len(curves), unit="epoch"
        )
        with held_back() as interrupted:
            for epoch in progress:
                curves.append({"train": self._epoch(epoch)} | self._validate())
                self._log(curves[-1], epoch)
                stops = interrupted()
                if stops or monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                    checkpoint.save(generators, curves)
                    saved = monotonic()
                if stops:
                    break

    def _epoch(self, epoch: int) -> list[float]:
        """Take the steps of one epoch; return each job's mean loss."""
        total = torch.zeros(len(self.jobs), device=device())
        last = self.training.max_epochs * self.steps
        rows = self.rows.epoch(self.steps, self.batch, self.batches)
        for number, taken in enumerate(rows.to(device()), start=epoch * self.steps + 1):
            losses = self._losses(self.rows.take(taken), self.augmentation, training=True)
            self.optimiser.zero_grad(set_to_none=True)
            losses.sum().backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            self.schedule.step()
            self.stack.network.after_step(self.stack.learnt, self.stack.state, number / last)
            total += losses.detach()
        means: list[float] = (total / self.steps).tolist()
        for job, mean in zip(self.jobs, means, strict=True):
            if not np.isfinite(mean):
                raise ConfigError(
                    f"{self.run_.label} {job.name}: the loss is {mean} in epoch {epoch}; "
                    "lower the method's lr"
                )
        return means

    @torch.no_grad()
    def _validate(self) -> dict[str, list[float]]:
        """Return each job's mean loss on its held rows, with the same noise in every epoch."""
        size = min(self.batch, *self.held.sizes)
        if size < 2:  # noqa: PLR2004 - no loss compares one unit with itself
            return {}
        steps = min(self.held.sizes) // size
        seeds = [integer(job.seed, "validation") for job in self.jobs]
        order = [torch.Generator().manual_seed(seed) for seed in seeds]
        noise = _generator(integer(self.jobs[0].seed, "validation noise"))
        rows = self.held.epoch(steps, size, order)
        losses = [self._losses(self.held.take(r), noise, training=False) for r in rows]
        return {"validation": torch.stack(losses).mean(dim=0).tolist()}

    def _losses(
        self, batch: Inputs, noise: torch.Generator, *, training: bool
    ) -> Float[Tensor, " jobs"]:
        views = [augment(batch, self.training, noise) for _ in range(self.stack.network.views)]
        half = self.training.precision == "bfloat16"
        with torch.autocast(device().type, dtype=torch.bfloat16, enabled=half):
            return self.stack.losses(views, training=training)

    def _log(self, curves: dict[str, list[float]], epoch: int) -> None:
        for name, losses in curves.items():
            for job, loss in zip(self.jobs, losses, strict=True):
                self.run_.log(f"{name}/{job.name}", loss, epoch)


def augment(batch: Inputs, training: TrainingConfig, generator: torch.Generator) -> Inputs:
    """Return a label-preserving view of standardised embeddings: dropped features, then noise."""
    views = []
    for x in batch:
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        dropped = _chosen(x, training.feature_dropout, generator)
        views.append(noise.mul_(training.noise_std).add_(x.masked_fill(dropped, 0)))
    return views[0], views[1]


def _chosen(x: Tensor, share: float, generator: torch.Generator) -> Bool[Tensor, "*shape"]:
    """Return where 16 random bits are below `share`: four draws from each random integer."""
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    bits = words.random_(-(2**63), None, generator=generator).view(torch.int16)
    return (bits < int(share * 2**16) - 2**15)[: x.numel()].view(x.shape)


def _tensors(pairs: Pairs) -> Inputs:
    return torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator(device()).manual_seed(seed)
