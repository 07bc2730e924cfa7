"""A small Nicheformer, pretrained on reference donors by masked gene modelling.

Network, tokens and objective are those of Nicheformer (Schaar, Tejada-Lapuerta et al. 2025), in a
size that a CPU trains in minutes. The gene list has the highly variable genes of the reference
donors. The expression of a gene is divided by its mean over the reference cells that express it,
and the tokens of a cell are the genes with the highest ratios. The weights are those of the epoch
with the lowest validation loss on reference donors; the head is not saved.

Departures: a data set has one species, assay and modality, so the three context tokens are
constant; the means are not rounded.
"""

from pathlib import Path
from typing import Annotated

import anndata as ad
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32, Int64
from pydantic import Field, JsonValue, PositiveFloat, PositiveInt
from safetensors.torch import save_file
from scipy import sparse

from cell_synergy.core import filetypes, tensors
from cell_synergy.core.errors import DataError
from cell_synergy.core.resume.scratch import scratch_folder
from cell_synergy.data.paired import log_normalise
from cell_synergy.data.splits import draw_validation_mask
from cell_synergy.encoders import Encoder, require_genes, sha256, visible_genes
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.modeling import NicheformerModel, Pooling
from cell_synergy.encoders._nicheformer.pooling import CellEmbedder, visible_cell_counts
from cell_synergy.encoders._nicheformer.pretraining import PretrainingConfig, pretrain
from cell_synergy.encoders._nicheformer.tokenizer import (
    ASSAY,
    FIRST_GENE,
    MODALITY,
    SPECIES,
    Tokenizer,
    nonzero_means,
)

_WEIGHTS, _GENES, _MEANS = "nicheformer.safetensors", "genes.txt", "means"
_REMEDY = "pretrain the expert again (`dvc repro embed`)"
_CONTEXT = SPECIES["human"], ASSAY["Xenium"], MODALITY["spatial"]


class Expert(Encoder):
    """A small Nicheformer.

    Attributes
    ----------
    genes, least_share
        Maximum number of highly variable genes, and minimum share of the reference cells that must
        express such a gene.
    ranks
        Maximum number of genes per cell, in descending order of relative expression.
    width, layers, heads, feedforward
        Hidden width, number of layers, attention heads, and width of the feed-forward layers.
    initial_std
        Standard deviation of the initial weights.
    held
        Share of each reference section's observations that is used for validation.
    pretraining
        Configuration of the pretraining.
    pooling
        Pooling of the hidden states of a cell, see `modeling.pool`.
    batch_size
        Cells per batch.
    """

    genes: PositiveInt
    least_share: Annotated[float, Field(gt=0, le=1)]
    ranks: PositiveInt
    width: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    feedforward: PositiveInt
    initial_std: PositiveFloat
    held: Annotated[float, Field(gt=0, lt=0.5)]
    pretraining: PretrainingConfig
    pooling: Pooling
    batch_size: PositiveInt

    def freeze(self, reference: ad.AnnData, out: Path) -> dict[str, JsonValue]:
        source = str(reference.uns["source"])
        counts, obs_index = visible_cell_counts(reference)
        visible = visible_genes(reference)
        selected = _highly_variable_genes(counts, self.genes, self.least_share, source)
        means = nonzero_means(counts[:, selected]).astype(np.float32)
        tokenizer = self._tokenizer(visible[selected], means)
        cells = tokenizer.encode(counts[:, selected], tokenizer.genes, 1)
        all_obs = np.ones(reference.n_obs, dtype=bool)
        validation_mask = draw_validation_mask(reference, all_obs, self.held)[obs_index]
        pretrained = pretrain(
            self._config(tokenizer),
            cells.select(~validation_mask),
            cells.select(validation_mask),
            self.pretraining,
            scratch_folder(),
            f"{source} nicheformer_small",
        )
        network = pretrained.model.nicheformer.cpu()
        state = {name: tensor.half() for name, tensor in network.state_dict().items()}
        save_file({**state, _MEANS: torch.from_numpy(means)}, out / _WEIGHTS)
        (out / _GENES).write_text("\n".join(tokenizer.genes) + "\n")
        losses = pd.DataFrame({"train": pretrained.train_loss, "held": pretrained.validation_loss})
        losses.to_csv(out / "losses.tsv", sep="\t", index_label="epoch")
        return {
            "encoder": "nicheformer_small",
            "origin": f"pretrained on {reference.n_obs} units of reference donors",
            "state": "fitted",
            "sha256": sha256(out / _WEIGHTS),
            "genes_sha256": sha256(out / _GENES),
            "held_loss": min(pretrained.validation_loss),
            "pooling": f"{self.pooling}, mean of a unit's cells",
            "dimension": self.width,
        }

    def embed(self, pairs: ad.AnnData, raw: Path, expert: Path) -> Float32[np.ndarray, "obs dim"]:
        return self.cell_embedder(pairs, expert).embed(self.batch_size)

    def cell_embedder(self, pairs: ad.AnnData, expert: Path) -> CellEmbedder:
        """Load the frozen network and tokenise the cells of `pairs`, without the gene panel.

        If `pairs` has no cells, each observation is one cell; otherwise an observation without a
        cell has one cell of context tokens only.

        Parameters
        ----------
        pairs
            Observations with raw counts, and their cells in `uns["cells"]` if there are any.
        expert
            Folder of the frozen expert: weights and gene list.

        Returns
        -------
        The network in evaluation mode, the tokens of each cell, and each cell's observation.

        Raises
        ------
        DataError
            If weights or gene list cannot be read, do not match each other or the configuration,
            a gene of the list is missing from `pairs` or in the gene panel, or `uns["cells"]` is
            not of these observations.
        ConfigError
            If `width` is no multiple of `heads`.
        """
        state = tensors.read(expert / _WEIGHTS, _REMEDY)
        filetypes.require_readable(expert / _GENES, "a list of genes", _REMEDY)
        genes = pd.Index((expert / _GENES).read_text().split("\n")[:-1])
        means = state.pop(_MEANS, None)
        if means is None or tuple(means.shape) != (len(genes),):
            raise DataError(
                f"{expert / _WEIGHTS}: has no mean for each gene of {_GENES}; {_REMEDY}"
            )
        tokenizer = self._tokenizer(genes, means.numpy())
        require_genes(pairs, tokenizer.genes, _REMEDY)
        counts, obs_index = visible_cell_counts(pairs)
        with torch.device("meta"):
            network = NicheformerModel(self._config(tokenizer))
        tensors.require_match(expert / _WEIGHTS, state, network.state_dict(), _REMEDY)
        network.load_state_dict({name: t.float() for name, t in state.items()}, assign=True)
        network.train(mode=False)
        cells = tokenizer.encode(counts, visible_genes(pairs), len(tokenizer.genes))
        return CellEmbedder(network, cells, obs_index, self.pooling)

    def _tokenizer(self, genes: pd.Index, means: Float32[np.ndarray, " genes"]) -> Tokenizer:
        max_length = len(_CONTEXT) + min(self.ranks, len(genes))
        return Tokenizer(genes, means, _CONTEXT, max_length)

    def _config(self, tokenizer: Tokenizer) -> NicheformerConfig:
        n_tokens = FIRST_GENE + len(tokenizer.genes)
        return NicheformerConfig(
            vocab_size=n_tokens,
            prediction_size=n_tokens,
            max_position_embeddings=tokenizer.max_length,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.feedforward,
            initializer_range=self.initial_std,
        )


def _highly_variable_genes(
    counts: sparse.csr_matrix, max_genes: int, least_share: float, source: str
) -> Int64[np.ndarray, " selected"]:
    """Return the columns of the genes with the largest variance of log-normalised counts, sorted.

    Only genes with counts in at least `least_share` of the cells are selected.
    """
    is_expressed = np.asarray((counts > 0).mean(axis=0)).ravel() >= least_share
    if not is_expressed.any():
        raise DataError(
            f"{source}: no gene is expressed in {least_share:.0%} of the reference cells; lower "
            "encoders.nicheformer_small.least_share"
        )
    x = log_normalise(counts)
    mean = np.asarray(x.mean(axis=0)).ravel()
    variance = np.asarray(x.multiply(x).mean(axis=0)).ravel() - mean**2
    order = np.argsort(np.where(is_expressed, -variance, np.inf), kind="stable")
    return np.sort(order[: min(max_genes, int(is_expressed.sum()))])
