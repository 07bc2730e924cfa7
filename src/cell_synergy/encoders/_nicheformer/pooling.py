"""Embeddings of units: the mean over a unit's cells, or the unit itself where it has no cells."""

from dataclasses import dataclass

import anndata as ad
import numpy as np
import torch
from jaxtyping import Float32, Int64
from scipy import sparse
from tqdm import tqdm

from cell_synergy.core.device import device
from cell_synergy.data.paired import cells, visible_counts
from cell_synergy.encoders._nicheformer.modeling import NicheformerModel, Pooling, pool
from cell_synergy.encoders._nicheformer.tokenizer import Sentences


@dataclass(frozen=True)
class Opened:
    """A frozen expert that has read the cells of some units.

    Attributes
    ----------
    network
        The encoder, in evaluation mode.
    cells
        The tokens of every cell.
    unit
        The row of each cell's unit; every unit has a cell.
    pooling
        From tokens to cells.
    """

    network: NicheformerModel
    cells: Sentences
    unit: Int64[np.ndarray, " cells"]
    pooling: Pooling

    @torch.inference_mode()
    def embed(self, batch_size: int) -> Float32[np.ndarray, "obs dim"]:
        """Embed every unit; `batch_size` cells are read at a time."""
        network = self.network
        network.to(device())  # type: ignore[arg-type]
        sums = np.zeros((int(self.unit.max()) + 1, network.config.hidden_size))
        with tqdm(total=len(self.unit), desc="cells", unit="cell") as progress:
            for some in self.cells.batches(batch_size):
                ids, mask = (torch.from_numpy(x).to(device()) for x in self.cells.padded(some))
                pooled = pool(network(ids, mask), mask, self.pooling)
                np.add.at(sums, self.unit[some], pooled.cpu().numpy())
                progress.update(len(some))
        return (sums / np.bincount(self.unit)[:, None]).astype(np.float32)


def cells_of(units: ad.AnnData) -> tuple[sparse.csr_matrix, Int64[np.ndarray, " cells"]]:
    """Return the visible counts of all cells, and the row of each one's unit.

    A unit is a cell itself where nothing is known of its cells; where others have cells and it has
    none, its cell is empty.
    """
    if (known := cells(units)) is None:
        return visible_counts(units), np.arange(units.n_obs)
    counts, unit = known
    bare = np.setdiff1d(np.arange(units.n_obs), unit)
    empty = sparse.csr_matrix((len(bare), counts.shape[1]), dtype=counts.dtype)
    return sparse.csr_matrix(sparse.vstack([counts, empty])), np.concatenate([unit, bare])
