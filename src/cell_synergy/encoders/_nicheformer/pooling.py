"""Embeddings of observations: the mean embedding of their cells."""

from dataclasses import dataclass

import anndata as ad
import numpy as np
import torch
from jaxtyping import Float32, Int64
from scipy import sparse
from tqdm import tqdm

from cell_synergy.core.device import device
from cell_synergy.data.paired import cell_counts, visible_counts
from cell_synergy.encoders._nicheformer.modeling import NicheformerModel, Pooling, pool
from cell_synergy.encoders._nicheformer.tokenizer import TokenSequences


@dataclass(frozen=True)
class CellEmbedder:
    """A Nicheformer in evaluation mode, and the tokens of all cells of a data set.

    Attributes
    ----------
    network
        The encoder, in evaluation mode.
    cells
        The tokens of each cell.
    obs_index
        Index of each cell's observation; each observation has at least one cell.
    pooling
        Pooling of the tokens of a cell.
    """

    network: NicheformerModel
    cells: TokenSequences
    obs_index: Int64[np.ndarray, " cells"]
    pooling: Pooling

    @torch.inference_mode()
    def embed(self, batch_size: int) -> Float32[np.ndarray, "obs dim"]:
        """Return the mean embedding of the cells of each observation.

        Embeddings are computed in batches of `batch_size` cells; the network is moved to the
        device.
        """
        network = self.network
        network.to(device())  # type: ignore[arg-type]
        sums = np.zeros((int(self.obs_index.max()) + 1, network.config.hidden_size))
        with tqdm(total=len(self.obs_index), desc="cells", unit="cell") as progress:
            for batch in self.cells.batches(batch_size):
                ids, mask = (torch.from_numpy(x).to(device()) for x in self.cells.padded(batch))
                pooled = pool(network(ids, mask), mask, self.pooling)
                np.add.at(sums, self.obs_index[batch], pooled.cpu().numpy())
                progress.update(len(batch))
        return (sums / np.bincount(self.obs_index)[:, None]).astype(np.float32)


def visible_cell_counts(pairs: ad.AnnData) -> tuple[sparse.csr_matrix, Int64[np.ndarray, " cells"]]:
    """Return the raw counts of all cells, and the index of each cell's observation.

    If `pairs` has no cells, each observation is one cell. Otherwise one cell without counts is
    appended for each observation without a cell.

    Parameters
    ----------
    pairs
        Observations with raw counts, and their cells in `uns["cells"]` if there are any.

    Returns
    -------
    Counts, cells x genes, without the genes of the panel, whose counts a task predicts; and the row
    of `pairs` of each cell.

    Raises
    ------
    DataError
        If the cells are not those of these observations, for example in a subset of the pairs.
    """
    if (stacked := cell_counts(pairs)) is None:
        return visible_counts(pairs), np.arange(pairs.n_obs)
    counts, obs_index = stacked
    without_cells = np.setdiff1d(np.arange(pairs.n_obs), obs_index)
    empty = sparse.csr_matrix((len(without_cells), counts.shape[1]), dtype=counts.dtype)
    all_counts = sparse.csr_matrix(sparse.vstack([counts, empty]))
    return all_counts, np.concatenate([obs_index, without_cells])
