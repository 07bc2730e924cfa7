"""Pretraining of Nicheformer by masked gene modelling (Devlin et al. 2019), see `mask_tokens`.

The optimiser is AdamW with a linear warm-up over the first tenth of the steps and cosine decay.
Each epoch has its own random stream, so that a resumed run gives equal bits.
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
from cell_synergy.core.random import derived_seed, stream
from cell_synergy.core.resume.scratch import run_hash
from cell_synergy.core.resume.torch_states import restore_state, save_state
from cell_synergy.core.signals import defer_interrupt
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.modeling import IGNORE_INDEX, NicheformerForMaskedLM
from cell_synergy.encoders._nicheformer.tokenizer import FIRST_GENE, MASK, TokenSequences

_LABELLED, _MASKED, _RANDOM = 0.15, 0.8, 0.1  # share of the genes; shares of the labelled genes
_WARMUP, _MAX_GRAD_NORM = 0.1, 1.0  # share of the steps; norm to which gradients are clipped
_BATCHES_PER_POOL = 16  # number of batches within which cells are sorted by length
SECONDS_BETWEEN_CHECKPOINTS = 20.0


class PretrainingConfig(Config):
    """Configuration of the pretraining.

    Attributes
    ----------
    epochs
        Passes over the training cells.
    batch_size
        Cells per step.
    lr, weight_decay
        Maximum learning rate and weight decay of AdamW.
    seed
        Seed of all random streams.
    """

    epochs: PositiveInt
    batch_size: PositiveInt
    lr: PositiveFloat
    weight_decay: NonNegativeFloat
    seed: NonNegativeInt


@dataclass(frozen=True)
class Pretrained:
    """Pretrained network, and each epoch's mean cross entropy per labelled gene, in nats."""

    model: NicheformerForMaskedLM
    train_loss: list[float]
    validation_loss: list[float]


def build(config: NicheformerConfig, seed: int) -> NicheformerForMaskedLM:
    """Return a network with random initial weights.

    Parameters
    ----------
    config, seed
        Sizes of the network, and seed, from which that of torch's global generator is derived.

    Raises
    ------
    ConfigError
        If the hidden width is no multiple of the number of attention heads.
    """
    torch.manual_seed(derived_seed(seed, "initial weights"))
    return NicheformerForMaskedLM(config)


def pretrain(
    config: NicheformerConfig,
    cells: TokenSequences,
    validation: TokenSequences,
    settings: PretrainingConfig,
    checkpoint_folder: Path,
    description: str,
) -> Pretrained:
    """Pretrain a network by masked gene modelling; resume an interrupted run from its checkpoint.

    Parameters
    ----------
    config, settings
        Sizes of the network, and configuration of the pretraining.
    cells, validation
        Training cells, and validation cells on which the epoch is selected.
    checkpoint_folder, description
        Folder of the checkpoint (the file is deleted after the run), and text of the progress bar.

    Returns
    -------
    The network at the epoch with the lowest validation loss, and the losses of all epochs.

    Raises
    ------
    ConfigError
        If a training loss is not finite, or the hidden width no multiple of the attention heads.
    DataError
        If no cell of a batch has a count of a gene in the gene list.
    """
    run = _Run(config, cells, validation, settings)
    key = _checkpoint_key(config, cells, validation, settings)
    checkpoint = checkpoint_folder / f"pretrain-{key}.pt"
    run.resume(checkpoint)
    saved = monotonic()
    n_done = len(run.train_loss)
    epochs = range(n_done, settings.epochs)
    progress = tqdm(epochs, description, settings.epochs, initial=n_done, unit="epoch")
    with defer_interrupt() as interrupted, progress:
        for epoch in progress:
            run.epoch(epoch)
            progress.set_postfix(train=run.train_loss[-1], validation=run.validation_loss[-1])
            stops = interrupted()
            if stops or monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                run.save(checkpoint)
                saved = monotonic()
            if stops:
                break
    run.model.load_state_dict(run.best)
    checkpoint.unlink(missing_ok=True)
    return Pretrained(run.model.train(mode=False), run.train_loss, run.validation_loss)


class _Run:
    """State of a training run: network, optimiser, losses, and the weights of the best epoch."""

    def __init__(
        self,
        config: NicheformerConfig,
        cells: TokenSequences,
        validation: TokenSequences,
        settings: PretrainingConfig,
    ) -> None:
        self.cells, self.validation, self.settings = cells, validation, settings
        self.n_genes = config.prediction_size - FIRST_GENE
        self.model = build(config, settings.seed)
        self.model.to(device())  # type: ignore[arg-type]
        self.best = self._weights()
        self.train_loss: list[float] = []
        self.validation_loss: list[float] = []
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
        )
        steps = settings.epochs * math.ceil(len(cells.lengths) / settings.batch_size)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: _lr_factor(step, steps)
        )

    def epoch(self, number: int) -> None:
        """Train on each cell once, then validate with masks that are equal in all epochs."""
        self.model.train()
        rng = stream(self.settings.seed, "epoch", str(number))
        losses = []
        for batch in _length_grouped_batches(self.cells, self.settings.batch_size, rng):
            loss = self._loss(self.cells, batch, rng)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), _MAX_GRAD_NORM)
            self.optimiser.step()
            self.schedule.step()
            losses.append(loss.item())
        self.train_loss.append(float(np.mean(losses)))
        if not np.isfinite(self.train_loss[-1]):
            raise ConfigError(
                f"the loss is {self.train_loss[-1]} in epoch {number}; lower the expert's lr"
            )
        self.validation_loss.append(self._validate())
        if self.validation_loss[-1] <= min(self.validation_loss):
            self.best = self._weights()

    @torch.no_grad()
    def _validate(self) -> float:
        self.model.train(mode=False)
        rng = stream(self.settings.seed, "validation")
        batches = self.validation.batches(self.settings.batch_size)
        losses = [self._loss(self.validation, batch, rng).item() for batch in batches]
        return float(np.mean(losses))

    def _loss(
        self, cells: TokenSequences, batch: Int64[np.ndarray, " batch"], rng: np.random.Generator
    ) -> Tensor:
        tokens, attention_mask = cells.padded(batch)
        inputs, labels = mask_tokens(tokens, self.n_genes, rng)
        arrays = inputs, attention_mask, labels
        loss: Tensor = self.model(*(torch.from_numpy(a).to(device()) for a in arrays)).loss
        return loss

    def _weights(self) -> dict[str, Tensor]:
        return {k: v.detach().cpu().clone() for k, v in self.model.state_dict().items()}

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        save_state(path, self._content())

    def resume(self, path: Path) -> None:
        """Restore the state of a checkpoint; without a valid file, the state is unchanged."""
        restore_state(path, self._content, self._restore)

    def _content(self) -> dict[str, Any]:
        return {
            "model": self._weights(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "train": self.train_loss,
            "validation": self.validation_loss,
        }

    def _restore(self, content: Mapping[str, Any]) -> None:
        self.model.load_state_dict(content["model"])
        self.best = dict(content["best"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.schedule.load_state_dict(content["schedule"])
        self.train_loss = list(content["train"])
        self.validation_loss = list(content["validation"])


def mask_tokens(
    tokens: Int64[np.ndarray, "cells length"], n_genes: int, rng: np.random.Generator
) -> tuple[Int64[np.ndarray, "cells length"], Int64[np.ndarray, "cells length"]]:
    """Return the tokens with genes masked, and the labels: true tokens, or `IGNORE_INDEX`.

    15 % of the genes are labelled, and at least one of the batch; context and padding never are.
    Of the labelled genes, 80 % become the mask token, 10 % a random gene, and 10 % are unchanged.

    Parameters
    ----------
    tokens
        Tokens of a batch, with context and padding.
    n_genes, rng
        Number of genes in the gene list, and random stream of the masks and replacements.

    Raises
    ------
    DataError
        If the batch has no gene.
    """
    gene = tokens >= FIRST_GENE
    if not gene.any():
        raise DataError("no cell has a count of a gene in the gene list; check the counts")
    draw = np.where(gene, rng.random(tokens.shape), 1.0)
    is_labelled = draw < max(_LABELLED, np.nextafter(draw.min(), 1))
    labels = np.where(is_labelled, tokens, IGNORE_INDEX)
    choice = rng.random(tokens.shape)
    random_genes = rng.integers(FIRST_GENE, FIRST_GENE + n_genes, tokens.shape)
    inputs = np.where(is_labelled & (choice < _MASKED), MASK, tokens)
    is_random = is_labelled & (choice >= _MASKED) & (choice < _MASKED + _RANDOM)
    return np.where(is_random, random_genes, inputs), labels


def _length_grouped_batches(
    cells: TokenSequences, size: int, rng: np.random.Generator
) -> Iterator[Int[np.ndarray, " batch"]]:
    """Yield the indices of all cells in random batches, each of cells of similar length."""
    order = rng.permutation(len(cells.lengths))
    pool_size = _BATCHES_PER_POOL * size
    pools = [order[start : start + pool_size] for start in range(0, len(order), pool_size)]
    batches = []
    for pool in pools:
        by_length = pool[np.argsort(cells.lengths[pool], kind="stable")]
        batches += [by_length[i : i + size] for i in range(0, len(by_length), size)]
    yield from (batches[i] for i in rng.permutation(len(batches)))


def _checkpoint_key(
    config: NicheformerConfig,
    cells: TokenSequences,
    validation: TokenSequences,
    settings: PretrainingConfig,
) -> str:
    """Return the hash of all inputs of a run; a checkpoint is resumed only under an equal hash."""
    arrays = (
        array.tobytes()
        for sequences in (cells, validation)
        for array in (sequences.tokens, sequences.offsets)
    )
    return run_hash(settings.model_dump(mode="json"), config.to_json_string(), arrays=arrays)


def _lr_factor(step: int, steps: int) -> float:
    """Return the learning rate at a step, relative to its maximum."""
    warmup = max(round(_WARMUP * steps), 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
