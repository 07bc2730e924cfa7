"""Masked gene modelling (Devlin et al. 2019; Nicheformer's objective) on one's own cells.

Of each cell's genes 15 % are asked for: 80 % of these are shown as the mask, 10 % as a random gene,
10 % as they are. AdamW, step sizes rise over the first tenth of the steps and fall along a cosine;
the epoch with the least loss on held cells is kept. Every epoch draws from streams of its own, so
an interrupted run continues bit for bit.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Int64
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor
from tqdm import tqdm

from cell_synergy.core.config import Config
from cell_synergy.core.device import device
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.random import integer, stream
from cell_synergy.core.resume.scratch import run_hash
from cell_synergy.core.resume.torch_states import restore_state, save_state
from cell_synergy.core.signals import held_back
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.modeling import IGNORED, NicheformerForMaskedLM
from cell_synergy.encoders._nicheformer.tokenizer import FIRST_GENE, MASK, Sentences

ASKED, SHOWN_MASKED, SHOWN_RANDOM = 0.15, 0.8, 0.1  # as in the paper
_WARM, _CLIP = 0.1, 1.0
_POOL = 16  # batches of like length are cut from this many batches' cells
SECONDS_BETWEEN_CHECKPOINTS = 20.0


class PretrainingConfig(Config):
    """Passes over the cells, cells per step, AdamW's largest step and weight decay, seed."""

    epochs: PositiveInt
    batch_size: PositiveInt
    lr: PositiveFloat
    weight_decay: NonNegativeFloat
    seed: NonNegativeInt


@dataclass(frozen=True)
class Pretrained:
    """A network, and the mean cross entropy per masked gene (nats) after each epoch."""

    model: NicheformerForMaskedLM
    train: list[float]
    validation: list[float]


def build(config: NicheformerConfig, seed: int) -> NicheformerForMaskedLM:
    """Return a network with initial weights of `seed`."""
    torch.manual_seed(integer(seed, "initial weights"))
    return NicheformerForMaskedLM(config)


def pretrain(
    config: NicheformerConfig,
    cells: Sentences,
    held: Sentences,
    settings: PretrainingConfig,
    work: Path,
    label: str,
) -> Pretrained:
    """Pretrain a network of one's own.

    Parameters
    ----------
    config
        Its sizes.
    cells, held
        What it learns from, and what chooses the epoch.
    settings
        How.
    work
        The folder of the checkpoint that an interrupted run continues from; it goes when the run
        ends.
    label
        What the progress bar says.
    """
    run = _Run(config, cells, held, settings)
    checkpoint = work / f"pretrain-{_key(config, cells, held, settings)}.pt"
    run.resume(checkpoint)
    saved = monotonic()
    epochs = range(len(run.train), settings.epochs)
    progress = tqdm(epochs, label, settings.epochs, initial=len(run.train), unit="epoch")
    with held_back() as interrupted, progress:
        for epoch in progress:
            run.epoch(epoch)
            progress.set_postfix(train=run.train[-1], held=run.validation[-1])
            stops = interrupted()
            if stops or monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                run.save(checkpoint)
                saved = monotonic()
            if stops:
                break
    run.model.load_state_dict(run.best)
    checkpoint.unlink(missing_ok=True)
    return Pretrained(run.model.train(mode=False), run.train, run.validation)


class _Run:
    """Everything that changes while a network learns."""

    def __init__(
        self,
        config: NicheformerConfig,
        cells: Sentences,
        held: Sentences,
        settings: PretrainingConfig,
    ) -> None:
        self.cells, self.held, self.settings = cells, held, settings
        self.genes = config.prediction_size - FIRST_GENE
        self.model = build(config, settings.seed)
        self.model.to(device())  # type: ignore[arg-type]
        self.best = self._weights()
        self.train: list[float] = []
        self.validation: list[float] = []
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
        )
        steps = settings.epochs * math.ceil(len(cells.lengths) / settings.batch_size)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: _share(step, steps)
        )

    def epoch(self, number: int) -> None:
        """Learn from every cell once, then ask about the held ones, masked as in every epoch."""
        self.model.train()
        rng = stream(self.settings.seed, "epoch", str(number))
        losses = []
        for cells in _shuffled(self.cells, self.settings.batch_size, rng):
            loss = self._loss(self.cells, cells, rng)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP)
            self.optimiser.step()
            self.schedule.step()
            losses.append(loss.item())
        self.train.append(float(np.mean(losses)))
        if not np.isfinite(self.train[-1]):
            raise ConfigError(
                f"the loss is {self.train[-1]} in epoch {number}; lower the expert's lr"
            )
        self.validation.append(self._validate())
        if self.validation[-1] <= min(self.validation):
            self.best = self._weights()

    @torch.no_grad()
    def _validate(self) -> float:
        self.model.train(mode=False)
        rng = stream(self.settings.seed, "validation")
        batches = self.held.batches(self.settings.batch_size)
        losses = [self._loss(self.held, cells, rng).item() for cells in batches]
        return float(np.mean(losses))

    def _loss(
        self, sentences: Sentences, cells: Int64[np.ndarray, " some"], rng: np.random.Generator
    ) -> Tensor:
        tokens, mask = sentences.padded(cells)
        shown, labels = masked(tokens, self.genes, rng)
        ids, attention, asked = (
            torch.from_numpy(array).to(device()) for array in (shown, mask, labels)
        )
        loss: Tensor = self.model(ids, attention, asked).loss
        return loss

    def _weights(self) -> dict[str, Tensor]:
        return {k: v.detach().cpu().clone() for k, v in self.model.state_dict().items()}

    def save(self, path: Path) -> None:
        """Write all that a continued run needs."""
        save_state(path, self._content())

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint, if there is one that can be taken up."""
        restore_state(path, self._content, self._restore)

    def _content(self) -> dict[str, Any]:
        return {
            "model": self._weights(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "train": self.train,
            "validation": self.validation,
        }

    def _restore(self, content: Mapping[str, Any]) -> None:
        self.model.load_state_dict(content["model"])
        self.best = dict(content["best"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.schedule.load_state_dict(content["schedule"])
        self.train, self.validation = list(content["train"]), list(content["validation"])


def masked(
    tokens: Int64[np.ndarray, "cells length"], genes: int, rng: np.random.Generator
) -> tuple[Int64[np.ndarray, "cells length"], Int64[np.ndarray, "cells length"]]:
    """Return what the network is shown and the labels: the true token where it is asked for.

    Only genes are asked for, and at least one of the batch.
    """
    gene = tokens >= FIRST_GENE
    if not gene.any():
        raise DataError("no cell has a gene that the expert knows; check the counts")
    draw = np.where(gene, rng.random(tokens.shape), 1.0)
    asked = draw < max(ASKED, np.nextafter(draw.min(), 1))
    labels = np.where(asked, tokens, IGNORED)
    how = rng.random(tokens.shape)
    other = rng.integers(FIRST_GENE, FIRST_GENE + genes, tokens.shape)
    shown = np.where(asked & (how < SHOWN_MASKED), MASK, tokens)
    random = asked & (how >= SHOWN_MASKED) & (how < SHOWN_MASKED + SHOWN_RANDOM)
    return np.where(random, other, shown), labels


def _shuffled(
    cells: Sentences, size: int, rng: np.random.Generator
) -> Iterator[Int[np.ndarray, " some"]]:
    """Yield all cells in random batches, each of cells of like length."""
    order = rng.permutation(len(cells.lengths))
    pools = [order[start : start + _POOL * size] for start in range(0, len(order), _POOL * size)]
    batches = []
    for pool in pools:
        grown = pool[np.argsort(cells.lengths[pool], kind="stable")]
        batches += [grown[start : start + size] for start in range(0, len(grown), size)]
    yield from (batches[i] for i in rng.permutation(len(batches)))


def _key(
    config: NicheformerConfig, cells: Sentences, held: Sentences, settings: PretrainingConfig
) -> str:
    """Return the name of a checkpoint: it changes with code, sizes, settings, cells and torch."""
    arrays = (
        array.tobytes()
        for sentences in (cells, held)
        for array in (sentences.tokens, sentences.starts)
    )
    return run_hash(settings.model_dump(mode="json"), config.to_json_string(), arrays=arrays)


def _share(step: int, steps: int) -> float:
    """Return the step size as a share of the largest."""
    warm = max(round(_WARM * steps), 1)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))
