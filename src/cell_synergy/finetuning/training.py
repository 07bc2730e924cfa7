"""The one training loop: every method that learns by gradient steps goes through it.

The whole data set lies on the device; an epoch is a fresh permutation cut into batches, the last
short one dropped. AdamW with a cosine schedule. Each purpose (initial weights, batches,
augmentation) has its own random stream, so an interrupted run continues bit for bit.
"""

from abc import abstractmethod
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from tqdm import tqdm

from cell_synergy.atomic import atomic
from cell_synergy.compute import device
from cell_synergy.config import Config, validate
from cell_synergy.errors import ConfigError
from cell_synergy.models import Method, Pairs, Run, Weights
from cell_synergy.streams import integer

SECONDS_BETWEEN_CHECKPOINTS = 20.0  # a checkpoint changes when a run can resume, never its result

Inputs = tuple[Float[Tensor, "units d1"], Float[Tensor, "units d2"]]


class Training(Config):
    """What all trained methods share; see params.yaml for units and sources."""

    max_epochs: PositiveInt
    batch_size: PositiveInt
    lr: PositiveFloat
    weight_decay: NonNegativeFloat
    noise_std: NonNegativeFloat
    feature_dropout: NonNegativeFloat


class Network(nn.Module):
    """What a trained method optimises."""

    @abstractmethod
    def loss(self, views: tuple[Inputs, Inputs]) -> Float[Tensor, ""]:
        """Return the objective on two augmented views of one batch of pairs."""

    @abstractmethod
    def joint(self, inputs: Inputs) -> Float[Tensor, "units d3"]:
        """Return the joint embedding `z3`."""

    def kept(self) -> dict[str, Tensor]:
        """Return the part of the state that `joint` needs: projectors are left out."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith("projector")}


class Trained(Method):
    """A method that is one network and one loss."""

    @property
    def seeded(self) -> bool:
        """Initial weights, batches and augmentation are drawn."""
        return True

    @abstractmethod
    def network(self, d1: int, d2: int) -> Network:
        """Return a freshly initialised network for embeddings of these dimensions."""

    def fit(self, pairs: Pairs, run: Run) -> Weights:
        """Optimise the network's loss; return the part of it that gives the joint embedding."""
        training = validate(Training, dict(run.training), "training")
        inputs = (torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression))
        if len(pairs.image) < training.batch_size:
            raise ConfigError(
                f"training.batch_size: {training.batch_size} is more than the "
                f"{len(pairs.image)} training pairs; set it lower"
            )
        torch.manual_seed(integer(run.seed, "initial weights"))
        network = self.network(inputs[0].shape[1], inputs[1].shape[1]).to(device())
        _optimise(network, (inputs[0].to(device()), inputs[1].to(device())), training, run)
        return {k: v.cpu().numpy() for k, v in network.kept().items()}

    @torch.inference_mode()
    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "units d1"],
        expression: Float32[np.ndarray, "units d2"],
    ) -> Float32[np.ndarray, "units d3"]:
        """Run the network in evaluation mode."""
        network = self.network(image.shape[1], expression.shape[1])
        state = {k: torch.from_numpy(v).float() for k, v in weights.items()}
        found, wanted = ({(k, v.shape) for k, v in d.items()} for d in (state, network.kept()))
        if wrong := sorted({name for name, _ in found ^ wanted}):
            raise ConfigError(f"weights of another network: {', '.join(wrong)}; align again")
        network.load_state_dict(state, strict=False)
        network.to(device()).eval()
        inputs = (torch.from_numpy(image).to(device()), torch.from_numpy(expression).to(device()))
        joint: Float32[np.ndarray, "units d3"] = network.joint(inputs).cpu().numpy()
        return joint


def _optimise(network: Network, inputs: Inputs, training: Training, run: Run) -> None:
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=training.lr, weight_decay=training.weight_decay
    )
    steps = len(inputs[0]) // training.batch_size
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, training.max_epochs * steps)
    batches = torch.Generator().manual_seed(integer(run.seed, "batches"))
    augmentation = torch.Generator(device()).manual_seed(integer(run.seed, "augmentation"))
    state = _State(network, optimiser, schedule, batches, augmentation)
    losses = state.resume(run.checkpoint)
    for epoch, loss in enumerate(losses):
        run.log("loss", loss, epoch)
    network.train()
    saved = monotonic()
    epochs = range(len(losses), training.max_epochs)
    progress = tqdm(epochs, run.label, training.max_epochs, initial=len(losses), unit="epoch")
    for epoch in progress:
        order = torch.randperm(len(inputs[0]), generator=batches)[: steps * training.batch_size]
        total = torch.zeros((), device=device())
        for rows in order.to(device()).view(steps, -1):
            batch = (inputs[0][rows], inputs[1][rows])
            first, second = (augment(batch, training, augmentation) for _ in range(2))
            objective = network.loss((first, second))
            optimiser.zero_grad(set_to_none=True)
            objective.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += objective.detach()
        losses.append(float(total) / steps)
        if not np.isfinite(losses[-1]):
            raise FloatingPointError(
                f"{run.label}: the loss is {losses[-1]} in epoch {epoch}; lower training.lr"
            )
        run.log("loss", losses[-1], epoch)
        if monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
            state.save(run.checkpoint, losses)
            saved = monotonic()


def augment(batch: Inputs, training: Training, generator: torch.Generator) -> Inputs:
    """Return a label-preserving view of standardised embeddings: dropped features, then noise."""
    views = []
    for x in batch:
        shape, place = x.shape, x.device
        kept = torch.rand(shape, generator=generator, device=place) >= training.feature_dropout
        noise = torch.randn(shape, generator=generator, device=place)
        views.append(x * kept + training.noise_std * noise)
    return views[0], views[1]


class _State:
    """Everything that a run has to remember to continue as if it had not stopped."""

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        *generators: torch.Generator,
    ) -> None:
        self._stateful: list[Any] = [network, optimiser, schedule]
        self._generators = generators

    def save(self, path: Path, losses: list[float]) -> None:
        content = {
            "stateful": [part.state_dict() for part in self._stateful],
            "generators": [generator.get_state() for generator in self._generators],
            "global": torch.get_rng_state(),
            "losses": losses,
        }
        with atomic(path) as new:
            torch.save(content, new)

    def resume(self, path: Path) -> list[float]:
        """Return the losses so far: none without a checkpoint."""
        if not path.is_file():
            return []
        content = torch.load(path, map_location="cpu", weights_only=True)
        for part, state in zip(self._stateful, content["stateful"], strict=True):
            part.load_state_dict(state)
        for generator, state in zip(self._generators, content["generators"], strict=True):
            generator.set_state(state)
        torch.set_rng_state(content["global"])
        losses: list[float] = content["losses"]
        return losses
