"""Frozen experts in a form in which some of their parameters can be trained."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import anndata as ad
import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn

from cell_synergy.core.device import device
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.data import embeddings
from cell_synergy.encoders import Encoder, read_card
from cell_synergy.encoders._nicheformer.modeling import pool
from cell_synergy.encoders._nicheformer.pooling import CellEmbedder

Batch = tuple[Tensor, ...]
"""Inputs of a network, on the device."""

Forward = Callable[..., Any]
"""The forward pass of a network, with some of its parameters replaced."""


@dataclass(frozen=True)
class TunableExpert:
    """A frozen expert and the observations that it can embed.

    Attributes
    ----------
    name, sha256
        Name of the expert and hash of its weights.
    network
        The network; its parameters are never changed.
    batch
        Function that returns the network's inputs for some observations. Given a random generator,
        the cells of observations that have many are subsampled.
    features
        Function that applies a forward pass to a batch and returns one embedding per observation.
    items
        Number of sequences (cells) of each observation, to which time and memory of its embedding
        are proportional.
    linears
        Regular expression that matches the full names of the linear layers that can be adapted.
    layers
        Names of the modules of each layer, from the first layer to the last. Modules between the
        last layer and the pooling are part of the last layer.
    """

    name: str
    sha256: str
    network: nn.Module
    batch: Callable[[Int[np.ndarray, " rows"], np.random.Generator | None], Batch]
    features: Callable[[Forward, Batch], Float[Tensor, "rows d"]]
    items: Int[np.ndarray, " obs"]
    linears: str
    layers: tuple[tuple[str, ...], ...]


@runtime_checkable
class _TunableEncoder(Protocol):
    """An encoder that exposes its network and the tokens of the cells of all observations."""

    def cell_embedder(self, pairs: ad.AnnData, expert: Path) -> CellEmbedder:
        """Return the frozen network in the folder `expert`, with the tokens of the cells."""


def read(
    name: str, encoder: Encoder, pairs: ad.AnnData, expert: Path, max_cells: int
) -> TunableExpert:
    """Return a frozen expert with the inputs of its network for the observations of a data set.

    Parameters
    ----------
    name
        Name of the expert.
    encoder
        Configuration of the expert.
    pairs
        Observations with raw counts, and their cells in `uns["cells"]` if there are any; if not,
        each observation is one cell.
    expert
        Folder of the frozen expert.
    max_cells
        Maximal number of cells of an observation in a training step; more are subsampled.

    Raises
    ------
    ConfigError
        If the expert has no network that can be fine-tuned, its width is no multiple of its heads,
        or gene symbols must be mapped and the package `celltypist` is not installed.
    DataError
        If a file of the expert is missing, damaged or of another expert, or `pairs` lacks genes
        that the expert needs.
    """
    if not isinstance(encoder, _TunableEncoder):
        raise ConfigError(
            f"expert.name={name}: fine-tuning needs an expression expert that is a network; take "
            "nicheformer or nicheformer_small"
        )
    sha256 = str(read_card(expert)["sha256"])
    return nicheformer(name, sha256, encoder.cell_embedder(pairs, expert), max_cells)


def read_embedding(
    path: Path, expert: TunableExpert, pairs: ad.AnnData
) -> Float32[np.ndarray, "obs d"]:
    """Read the embedding of the pairs by a frozen expert.

    Parameters
    ----------
    path
        File of the embedding, in half precision.
    expert
        The frozen expert.
    pairs
        The paired observations.

    Raises
    ------
    DataError
        If there is no such file, it is broken, of other observations or of another expert.
    """
    embedding = embeddings.read(path, pairs.obs_names)
    card = embeddings.read_card(path)
    if card.get("sha256") != expert.sha256:
        raise DataError(
            f"{path}: embedded by {card['encoder']} with other weights than those of {expert.name}"
            "; embed the pairs again (`dvc repro embed`)"
        )
    return embedding


def nicheformer(
    name: str, sha256: str, cell_embedder: CellEmbedder, max_cells: int
) -> TunableExpert:
    """Return a Nicheformer as an expert that can be fine-tuned.

    Parameters
    ----------
    name, sha256
        Name of the expert and hash of its weights.
    cell_embedder
        The network, which is moved to the device, and the tokens of every cell; the embedding of
        an observation is the mean over its cells.
    max_cells
        Maximal number of cells of an observation in a training step; more are subsampled.
    """
    network, cells, pooling = cell_embedder.network, cell_embedder.cells, cell_embedder.pooling
    order, n_cells = (
        np.argsort(cell_embedder.obs_index, kind="stable"),
        np.bincount(cell_embedder.obs_index),
    )
    cells_of = np.split(order, np.cumsum(n_cells)[:-1])

    def subsample(
        members: Int[np.ndarray, " cells"], rng: np.random.Generator | None
    ) -> Int[np.ndarray, " cells"]:
        if rng is None or len(members) <= max_cells:
            return members
        return rng.choice(members, max_cells, replace=False)

    def batch(rows: Int[np.ndarray, " rows"], rng: np.random.Generator | None) -> Batch:
        visible = [subsample(cells_of[row], rng) for row in rows]
        owner = np.repeat(np.arange(len(rows)), [len(members) for members in visible])
        arrays = (*cells.padded(np.concatenate(visible)), owner)
        return tuple(torch.from_numpy(array).to(device()) for array in arrays)

    def features(forward: Forward, inputs: Batch) -> Float[Tensor, "rows d"]:
        tokens, mask, owner = inputs
        pooled = pool(forward(tokens, mask), mask, pooling)
        sums = pooled.new_zeros(int(owner[-1]) + 1, pooled.shape[1]).index_add(0, owner, pooled)
        return sums / owner.bincount()[:, None]

    parts = "q_proj|k_proj|v_proj|out_proj|linear1|linear2"
    layers = tuple((f"encoder.layers.{i}",) for i in range(len(network.encoder.layers)))
    network.to(device())  # type: ignore[arg-type]
    return TunableExpert(name, sha256, network, batch, features, n_cells, rf".*\.({parts})", layers)
