"""Frozen experts, opened so that a part of them can learn."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import anndata as ad
import numpy as np
import torch
from jaxtyping import Float, Int
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from cell_synergy.core.device import device
from cell_synergy.core.errors import ConfigError
from cell_synergy.encoders import Encoder, read_card
from cell_synergy.encoders._nicheformer.modeling import pool
from cell_synergy.encoders._nicheformer.pooling import Opened

Batch = tuple[Tensor, ...]
Network = Callable[..., Any]
"""A network's forward pass, with whatever tensors have been put into it."""


@dataclass(frozen=True)
class Expert:
    """A frozen expert and the units that it can embed.

    Attributes
    ----------
    name, sha256
        Which weights these are.
    network
        The expert; its own parameters are never changed.
    batch
        Returns the inputs of some units, on the device. Given a random generator, a unit of many
        cells may show some of them only.
    features
        Calls the network on such inputs; returns one embedding per unit.
    items
        Sequences (or images) that each unit has: what its embedding costs.
    linears
        Regular expression of the linear layers that can be adapted: their whole names.
    layers
        The names of what makes up each layer, from the first to the last; what comes after the last
        layer and before the pooling belongs to it.
    """

    name: str
    sha256: str
    network: nn.Module
    batch: Callable[[Int[np.ndarray, " rows"], np.random.Generator | None], Batch]
    features: Callable[[Network, Batch], Float[Tensor, "rows d"]]
    items: Int[np.ndarray, " obs"]
    linears: str
    layers: tuple[tuple[str, ...], ...]


@runtime_checkable
class Readable(Protocol):
    """An encoder that gives its network, and the tokens of the units' cells."""

    def opened(self, pairs: ad.AnnData, expert: Path) -> Opened:
        """Return the frozen expert in the folder `expert`, with the cells of `pairs`."""


def read(name: str, encoder: Encoder, pairs: ad.AnnData, expert: Path, most: int) -> Expert:
    """Open the frozen expert of a folder for the units of `pairs`.

    Raises
    ------
    ConfigError
        If it has no network that could be tuned.
    """
    if not isinstance(encoder, Readable):
        raise ConfigError(
            f"expert.name={name}: fine-tuning needs an expression expert that is a network; take "
            "nicheformer or nicheformer_small"
        )
    sha256 = str(read_card(expert)["sha256"])
    return nicheformer(name, sha256, encoder.opened(pairs, expert), most)


def nicheformer(name: str, sha256: str, opened: Opened, most: int) -> Expert:
    """Open a Nicheformer.

    Parameters
    ----------
    name, sha256
        Which weights these are.
    opened
        The network and every cell's tokens; a unit's embedding is the mean over its cells.
    most
        Cells of a unit that a step of training shows, at most.
    """
    network, cells, pooling = opened.network, opened.cells, opened.pooling
    order, items = np.argsort(opened.unit, kind="stable"), np.bincount(opened.unit)
    own = np.split(order, np.cumsum(items)[:-1])

    def batch(rows: Int[np.ndarray, " rows"], random: np.random.Generator | None) -> Batch:
        shown = [own[row] for row in rows]
        if random is not None:
            shown = [c if len(c) <= most else random.choice(c, most, replace=False) for c in shown]
        place = np.repeat(np.arange(len(rows)), [len(some) for some in shown])
        arrays = (*cells.padded(np.concatenate(shown)), place)
        return tuple(torch.from_numpy(array).to(device()) for array in arrays)

    def features(call: Network, shown: Batch) -> Float[Tensor, "rows d"]:
        tokens, mask, place = shown
        pooled = pool(call(tokens, mask), mask, pooling)
        sums = pooled.new_zeros(int(place[-1]) + 1, pooled.shape[1]).index_add(0, place, pooled)
        return sums / place.bincount()[:, None]

    parts = "q_proj|k_proj|v_proj|out_proj|linear1|linear2"
    layers = tuple((f"encoder.layers.{i}",) for i in range(len(network.encoder.layers)))
    network.to(device())  # type: ignore[arg-type]
    return Expert(name, sha256, network, batch, features, items, rf".*\.({parts})", layers)


def vision(
    name: str,
    sha256: str,
    network: VisionTransformer,
    patches: Callable[[Int[np.ndarray, " rows"]], Float[Tensor, "rows 3 side side"]],
    units: int,
) -> Expert:
    """Open a vision transformer of timm; its features are the class token after the last norm.

    Parameters
    ----------
    name, sha256, network
        The frozen expert, built without a classifier.
    patches
        Returns the normalised patches of some units.
    units
        How many there are.
    """

    def batch(rows: Int[np.ndarray, " rows"], _: np.random.Generator | None) -> Batch:
        return (patches(rows).to(device()),)

    def features(call: Network, shown: Batch) -> Float[Tensor, "rows d"]:
        found: Tensor = call(*shown)
        return found

    *first, last = [f"blocks.{number}" for number in range(len(network.blocks))]
    layers = (*((block,) for block in first), (last, "norm"))
    linears = r"blocks\.\d+\.(attn\.(qkv|proj)|mlp\.(fc1|fc2))"
    ones = np.ones(units, dtype=np.int64)
    return Expert(name, sha256, network.to(device()), batch, features, ones, linears, layers)
