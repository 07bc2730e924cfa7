"""A small Nicheformer of one's own, pretrained on reference donors by masked gene modelling.

The network, tokens and objective of Nicheformer (Schaar, Tejada-Lapuerta et al. 2025), in a size
that a processor trains in minutes. Its gene list is the data set's own variable genes; each is
divided by its mean over the reference units that have it. Kept are the most raised genes of a unit
and the weights of the epoch with the least loss on held reference units; the head is not kept.

Departures: one data set has one species, assay and modality, so the three context tokens are the
same everywhere; the means are not rounded.
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
from cell_synergy.data.splits import held
from cell_synergy.encoders import Encoder, sha256
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.modeling import NicheformerModel, Pooling
from cell_synergy.encoders._nicheformer.pooling import Opened, cells_of
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
_REMEDY = "pretrain the expert again (`dvc repro pretrain`)"
_CONTEXT = SPECIES["human"], ASSAY["Xenium"], MODALITY["spatial"]


class Expert(Encoder):
    """A small Nicheformer.

    Attributes
    ----------
    genes, least_share
        The most variable of the genes that are in this share of the reference cells.
    ranks
        Genes of a cell that are read, most raised first.
    width, layers, heads, feedforward
        Of the network.
    initial_std
        Standard deviation of the initial weights.
    held
        Share of each reference section that chooses the epoch.
    pretraining
        How it is pretrained.
    pooling
        From tokens to cells.
    batch_size
        Cells that are read at a time.
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
        counts, unit = cells_of(reference)
        shown = reference.var_names[~reference.var["panel"].to_numpy(bool)]
        chosen = _variable(counts, self.genes, self.least_share, source)
        means = nonzero_means(counts[:, chosen]).astype(np.float32)
        tokenizer = self._tokenizer(shown[chosen], means)
        cells = tokenizer.encode(counts[:, chosen], tokenizer.genes, 1)
        apart = held(reference, np.ones(reference.n_obs, dtype=bool), self.held)[unit]
        found = pretrain(
            self._config(tokenizer),
            cells.taken(~apart),
            cells.taken(apart),
            self.pretraining,
            scratch_folder(),
            f"{source} nicheformer_small",
        )
        network = found.model.nicheformer.cpu()
        state = {name: tensor.half() for name, tensor in network.state_dict().items()}
        save_file({**state, _MEANS: torch.from_numpy(means)}, out / _WEIGHTS)
        (out / _GENES).write_text("\n".join(tokenizer.genes) + "\n")
        losses = pd.DataFrame({"train": found.train, "held": found.validation})
        losses.to_csv(out / "losses.tsv", sep="\t", index_label="epoch")
        return {
            "encoder": "nicheformer_small",
            "origin": f"pretrained on {reference.n_obs} units of reference donors",
            "state": "fitted",
            "sha256": sha256(out / _WEIGHTS),
            "genes_sha256": sha256(out / _GENES),
            "held_loss": min(found.validation),
            "pooling": f"{self.pooling}, mean of a unit's cells",
            "dimension": self.width,
        }

    def embed(self, pairs: ad.AnnData, raw: Path, expert: Path) -> Float32[np.ndarray, "obs dim"]:
        return self.opened(pairs, expert).embed(self.batch_size)

    def opened(self, pairs: ad.AnnData, expert: Path) -> Opened:
        """Return the network and the tokens of all cells.

        Raises
        ------
        DataError
            If the pairs lack a gene that the expert was pretrained on.
        """
        state = tensors.read(expert / _WEIGHTS, _REMEDY)
        filetypes.required(expert / _GENES, "a list of genes", _REMEDY)
        genes = pd.Index((expert / _GENES).read_text().split("\n")[:-1])
        if (found := state.pop(_MEANS, None)) is None or tuple(found.shape) != (len(genes),):
            raise DataError(
                f"{expert / _WEIGHTS}: has no mean for each gene of {_GENES}; {_REMEDY}"
            )
        tokenizer = self._tokenizer(genes, found.numpy())
        shown = pairs.var_names[~pairs.var["panel"].to_numpy(bool)]
        counts, unit = cells_of(pairs)
        if lacking := sorted(set(tokenizer.genes) - set(shown)):
            raise DataError(
                f"{pairs.uns['source']}: {len(lacking)} genes of the expert are not in the pairs "
                f"or in their panel, first {lacking[0]!r}; pretrain it again "
                "(`dvc repro pretrain`)"
            )
        with torch.device("meta"):
            network = NicheformerModel(self._config(tokenizer))
        tensors.require_match(expert / _WEIGHTS, state, network.state_dict(), _REMEDY)
        network.load_state_dict({name: t.float() for name, t in state.items()}, assign=True)
        network.train(mode=False)
        cells = tokenizer.encode(counts, shown, len(tokenizer.genes))
        return Opened(network, cells, unit, self.pooling)

    def _tokenizer(self, genes: pd.Index, means: Float32[np.ndarray, " genes"]) -> Tokenizer:
        longest = len(_CONTEXT) + min(self.ranks, len(genes))
        return Tokenizer(genes, means, _CONTEXT, longest)

    def _config(self, tokenizer: Tokenizer) -> NicheformerConfig:
        tokens = FIRST_GENE + len(tokenizer.genes)
        return NicheformerConfig(
            vocab_size=tokens,
            prediction_size=tokens,
            max_position_embeddings=tokenizer.longest,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.feedforward,
            initializer_range=self.initial_std,
        )


def _variable(
    counts: sparse.csr_matrix, most: int, least_share: float, source: str
) -> Int64[np.ndarray, " chosen"]:
    """Return the columns of the genes whose log-normalised counts vary most, in order."""
    seen = np.asarray((counts > 0).mean(axis=0)).ravel() >= least_share
    if not seen.any():
        raise DataError(
            f"{source}: no gene is in {least_share:.0%} of the reference cells; lower "
            "encoders.nicheformer_small.least_share"
        )
    x = log_normalise(counts)
    mean = np.asarray(x.mean(axis=0)).ravel()
    variance = np.asarray(x.multiply(x).mean(axis=0)).ravel() - mean**2
    order = np.argsort(np.where(seen, -variance, np.inf), kind="stable")
    return np.sort(order[: min(most, int(seen.sum()))])
