"""Training loop of every method that is optimised by gradient steps.

All folds and seeds train as one batched model, on data in device memory, with AdamW and a cosine
schedule. In each epoch every fold is permuted and cut into whole batches. Runs resume bit for bit.
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
from cell_synergy.core.random import derived_seed
from cell_synergy.core.signals import defer_interrupt
from cell_synergy.training.checkpoint import Checkpoint
from cell_synergy.training.method import FitSpec, Method, Pairs, RunContext, Weights
from cell_synergy.training.modules import Inputs, Network
from cell_synergy.training.replicas import DeviceBatches, Replicas

SECONDS_BETWEEN_CHECKPOINTS = 20.0  # no effect on results


class TrainingConfig(Config):
    """Training settings shared by all methods; params.yaml documents units and sources."""

    max_epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    weight_decay: NonNegativeFloat
    noise_std: NonNegativeFloat
    feature_dropout: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["float32", "bfloat16"]


class Trained(Method):
    """Base class of methods that train a network; `lr` is AdamW's initial learning rate."""

    lr: PositiveFloat

    @property
    def seeded(self) -> bool:
        """Return True: initial weights, batches and augmentation are random."""
        return True

    @abstractmethod
    def network(self, d1: int, d2: int) -> Network:
        """Return the network of one fit, with random initial weights, on the CPU.

        Parameters
        ----------
        d1, d2
            Numbers of features of the image and of the expression embedding.
        """

    def pairs_per_step(self, training: TrainingConfig, n_obs: int) -> int:
        """Return the number of pairs per optimiser step.

        Parameters
        ----------
        training, n_obs
            Settings shared by all methods, and number of training pairs of the smallest fold.

        Raises
        ------
        ConfigError
            If `training.batch_size` is larger than `n_obs`.
        """
        if n_obs < training.batch_size:
            raise ConfigError(
                f"training.batch_size: {training.batch_size} is more than the "
                f"{n_obs} training pairs; set it lower"
            )
        return training.batch_size

    def postprocess(self, weights: Weights, pairs: Pairs) -> Weights:  # noqa: ARG002 - for overriding
        """Return the final weights of one fit; the default returns `weights` unchanged.

        Parameters
        ----------
        weights, pairs
            Trained arrays, by name, that `transform` needs, and the training pairs of the fit.
        """
        return weights

    def fit(self, specs: Sequence[FitSpec], context: RunContext) -> list[Weights]:
        """Train the networks of all fits in parallel; resume from a checkpoint if there is one.

        The result has for each specification, in order, the weights after the last epoch and
        `postprocess`: arrays, by name, from which `transform` computes the joint embedding.

        Parameters
        ----------
        specs, context
            One specification per fold and seed; settings and files shared by the fits.

        Raises
        ------
        ConfigError
            If `context.training` is not valid, the batch size exceeds the training pairs of the
            smallest fold, or the mean training loss of a fit is not finite in an epoch.
        """
        training = validate(TrainingConfig, dict(context.training), "training")
        networks = []
        for spec in specs:
            torch.manual_seed(derived_seed(spec.seed, "initial weights"))
            networks.append(self.network(spec.pairs.image.shape[1], spec.pairs.expression.shape[1]))
        replicas = Replicas([network.to(device()) for network in networks])
        _Loop(self, replicas, training, specs, context).run()
        weights = []
        for spec, state_dict in zip(specs, replicas.unstacked(), strict=True):
            tensors = replicas.network.inference_state(state_dict)
            arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
            weights.append(self.postprocess(arrays, spec.pairs))
        return weights

    @torch.inference_mode()
    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> Float32[np.ndarray, "obs d3"]:
        """Return the joint embedding `z3` of each observation, by the network in evaluation mode.

        Parameters
        ----------
        weights, image, expression
            Weights of one fit, as `fit` returns them, and inputs from the experts, paired by row.

        Raises
        ------
        ConfigError
            If names or shapes of the weights differ from the network's.
        """
        network = self.network(image.shape[1], expression.shape[1])
        state_dict = {k: torch.from_numpy(v).float() for k, v in weights.items()}
        given = {(k, v.shape) for k, v in state_dict.items()}
        expected = {(k, v.shape) for k, v in network.inference_state(network.state_dict()).items()}
        if mismatched := sorted({name for name, _ in given ^ expected}):
            raise ConfigError(f"weights of another network: {', '.join(mismatched)}; align again")
        network.load_state_dict(state_dict, strict=False)
        network.to(device()).eval()
        inputs = (torch.from_numpy(image).to(device()), torch.from_numpy(expression).to(device()))
        joint: Float32[np.ndarray, "obs d3"] = network.joint(inputs).cpu().numpy()
        return joint


class _Loop:
    """One run of the training loop over all fits: their data, optimiser and random generators."""

    def __init__(
        self,
        method: Trained,
        replicas: Replicas,
        training: TrainingConfig,
        specs: Sequence[FitSpec],
        context: RunContext,
    ) -> None:
        self.replicas, self.training, self.specs = replicas, training, specs
        self.context = context
        self.train_batches = DeviceBatches([_tensors(spec.pairs) for spec in specs], device())
        self.validation_batches = DeviceBatches(
            [_tensors(spec.validation) for spec in specs], device()
        )
        self.batch_size = method.pairs_per_step(training, min(self.train_batches.n_obs))
        self.steps_per_epoch = max(self.train_batches.n_obs) // training.batch_size
        self.n_steps = training.max_epochs * self.steps_per_epoch
        self.optimiser = torch.optim.AdamW(
            replicas.params.values(), lr=method.lr, weight_decay=training.weight_decay, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, self.n_steps)
        seeds = [derived_seed(spec.seed, "batches") for spec in specs]
        self.batch_generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.augmentation = _generator(derived_seed(specs[0].seed, "augmentation"))

    def run(self) -> None:
        """Train up to the last epoch; an interrupt is raised after the epoch and its checkpoint."""
        generators = [*self.batch_generators, self.augmentation]
        checkpoint = Checkpoint(
            self.context.checkpoint, self.replicas, self.optimiser, self.schedule
        )
        curves = checkpoint.resume(generators)
        for epoch, losses in enumerate(curves):
            self._log(losses, epoch)
        saved_at = monotonic()
        max_epochs = self.training.max_epochs
        progress = tqdm(
            range(len(curves), max_epochs), self.context.label, max_epochs,
            initial=len(curves), unit="epoch",
        )  # fmt: skip
        with defer_interrupt() as interrupted:
            for epoch in progress:
                curves.append({"train": self._epoch(epoch)} | self._validate())
                self._log(curves[-1], epoch)
                stops = interrupted()
                if stops or monotonic() - saved_at > SECONDS_BETWEEN_CHECKPOINTS:
                    checkpoint.save(generators, curves)
                    saved_at = monotonic()
                if stops:
                    break

    def _epoch(self, epoch: int) -> list[float]:
        """Take the optimiser steps of one epoch; return the mean loss of each fit."""
        total = torch.zeros(len(self.specs), device=device())
        batches = self.train_batches.epoch(
            self.steps_per_epoch, self.batch_size, self.batch_generators
        )
        first_step = epoch * self.steps_per_epoch + 1
        for step, index in enumerate(batches.to(device()), start=first_step):
            losses = self._losses(
                self.train_batches.gather(index), self.augmentation, training=True
            )
            self.optimiser.zero_grad(set_to_none=True)
            losses.sum().backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            self.schedule.step()
            self.replicas.network.after_step(
                self.replicas.params, self.replicas.buffers, step / self.n_steps
            )
            total += losses.detach()
        means: list[float] = (total / self.steps_per_epoch).tolist()
        for spec, mean in zip(self.specs, means, strict=True):
            if not np.isfinite(mean):
                raise ConfigError(
                    f"{self.context.label} {spec.name}: the loss is {mean} in epoch {epoch}; "
                    "lower the method's lr"
                )
        return means

    @torch.no_grad()
    def _validate(self) -> dict[str, list[float]]:
        """Return each fit's mean validation loss, with batches and noise equal in all epochs."""
        batch_size = min(self.batch_size, *self.validation_batches.n_obs)
        if batch_size < 2:  # noqa: PLR2004 - losses compare observations with each other
            return {}
        steps = min(self.validation_batches.n_obs) // batch_size
        seeds = [derived_seed(spec.seed, "validation") for spec in self.specs]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        noise = _generator(derived_seed(self.specs[0].seed, "validation noise"))
        batches = self.validation_batches.epoch(steps, batch_size, generators)
        losses = [
            self._losses(self.validation_batches.gather(index), noise, training=False)
            for index in batches
        ]
        return {"validation": torch.stack(losses).mean(dim=0).tolist()}

    def _losses(
        self, batch: Inputs, generator: torch.Generator, *, training: bool
    ) -> Float[Tensor, " fits"]:
        n_views = self.replicas.network.n_views
        views = [augment(batch, self.training, generator) for _ in range(n_views)]
        autocast = self.training.precision == "bfloat16"
        with torch.autocast(device().type, dtype=torch.bfloat16, enabled=autocast):
            return self.replicas.losses(views, training=training)

    def _log(self, curves: dict[str, list[float]], epoch: int) -> None:
        for name, losses in curves.items():
            for spec, loss in zip(self.specs, losses, strict=True):
                self.context.log(f"{name}/{spec.name}", loss, epoch)


def augment(batch: Inputs, training: TrainingConfig, generator: torch.Generator) -> Inputs:
    """Return an augmented view of the inputs: feature dropout, then Gaussian noise.

    Parameters
    ----------
    batch, generator
        Embeddings of both modalities, and a random generator on their device.
    training
        `feature_dropout` is the probability of a 0, `noise_std` the noise's standard deviation.
    """
    views = []
    for x in batch:
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        dropped = _bernoulli(x, training.feature_dropout, generator)
        views.append(noise.mul_(training.noise_std).add_(x.masked_fill(dropped, 0)))
    return views[0], views[1]


def _bernoulli(x: Tensor, probability: float, generator: torch.Generator) -> Bool[Tensor, "*shape"]:
    """Draw a mask of the shape of `x`; the probability is rounded down to a multiple of 2^-16."""
    integers = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    bits = integers.random_(-(2**63), None, generator=generator).view(torch.int16)
    return (bits < int(probability * 2**16) - 2**15)[: x.numel()].view(x.shape)


def _tensors(pairs: Pairs) -> Inputs:
    return torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator(device()).manual_seed(seed)
