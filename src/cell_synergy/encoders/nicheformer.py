"""Nicheformer with its published weights, frozen: the expression expert of the paper.

Schaar, Tejada-Lapuerta et al., Nicheformer, Nature Methods 22:2525 (2025). Licence BSD-3. Weights
and gene list: theislab/Nicheformer on the hub; technology means: the folder data/model_means of
https://github.com/theislab/nicheformer. Twelve post-norm layers of width 512; the hidden states of
the last layer are averaged.

Departures: ties keep the order of the gene list; technology means are cleaned before the division
(the published files have NaN for genes that were not measured); by default the average includes the
three context tokens and excludes padding. Checked: both checkpoint layouts, on random weights,
against the encoder of PyTorch. Not checked: the published weights, which are not part of a test.
"""

from pathlib import Path
from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32
from pydantic import JsonValue, PositiveInt
from tqdm import tqdm

from cell_synergy.core import arrays, filetypes, hub
from cell_synergy.core.errors import DataError
from cell_synergy.encoders import Encoder, read_card, require_frozen, sha256, visible_genes
from cell_synergy.encoders._nicheformer import checkpoint_layouts, symbols
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.modeling import Pooling
from cell_synergy.encoders._nicheformer.pooling import CellEmbedder, visible_cell_counts
from cell_synergy.encoders._nicheformer.tokenizer import (
    ASSAY,
    FIRST_GENE,
    MODALITY,
    SPECIES,
    Assay,
    Modality,
    Species,
    Tokenizer,
    clean_means,
)


class _Files(NamedTuple):
    """Local paths of the published files."""

    weights: Path
    genes: Path
    means: Path


class Expert(Encoder):
    """A published Nicheformer.

    Attributes
    ----------
    repo, revision
        Repository on the hub, and commit, tag or branch; the card from `freeze` has the commit.
    weights, genes
        Local files that are used instead of the hub's: the checkpoint, and an `.h5ad` whose
        `var_names` are the gene list.
    means
        Mean of each gene of the list in the technology: an `.npy` file of the authors' repository.
    species, assay, modality
        Context tokens, which precede the genes of each cell.
    least_genes
        Minimum number of measured genes that are in the gene list.
    pooling
        Pooling of the hidden states of a cell, see `modeling.pool`.
    batch_size
        Cells per batch.
    """

    repo: str
    revision: str
    weights: Path | None = None
    genes: Path | None = None
    means: Path
    species: Species
    assay: Assay
    modality: Modality
    least_genes: PositiveInt
    pooling: Pooling
    batch_size: PositiveInt

    def freeze(self, reference: ad.AnnData, out: Path) -> dict[str, JsonValue]:
        files = self._locate(self.revision)
        config = NicheformerConfig()
        checkpoint_layouts.load(files.weights, config)
        genes, _ = _read_genes(files, config)
        in_list = symbols.to_ensembl(reference.var_names, genes, self.species).ids.isin(genes)
        return {
            "encoder": "nicheformer",
            "origin": files.weights.name if self.weights else f"https://huggingface.co/{self.repo}",
            "state": "pretrained",
            "revision": hub.commit_of(files.weights) if self.weights is None else "",
            "sha256": sha256(files.weights),
            "genes_sha256": sha256(files.genes),
            "means_sha256": sha256(files.means),
            "context": f"{self.species}, {self.assay}, {self.modality}",
            "known_genes": int(in_list.sum()),
            "unknown_genes": int((~in_list).sum()),
            "pooling": f"{self.pooling}, mean of a unit's cells",
            "dimension": config.hidden_size,
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
            Folder of the frozen expert, with its card (`card.json`).

        Returns
        -------
        The network in evaluation mode, the tokens of each cell, and each cell's observation.

        Raises
        ------
        DataError
            If the card, the weights, the gene list or the gene means cannot be read or are of
            another model, a file's SHA-256 is not the card's, fewer than `least_genes` genes of
            `pairs` are in the gene list, or `uns["cells"]` is not of these observations.
        ConfigError
            If gene symbols must be mapped and the package `celltypist` is not installed.
        """
        card = read_card(expert, "revision", "genes_sha256", "means_sha256")
        files = self._locate(str(card["revision"]) or self.revision)
        for key, path in zip(("sha256", "genes_sha256", "means_sha256"), files, strict=True):
            require_frozen(path, card[key], expert)
        config = NicheformerConfig()
        genes, means = _read_genes(files, config)
        counts, obs_index = visible_cell_counts(pairs)
        mapped = symbols.to_ensembl(visible_genes(pairs), genes, self.species)
        _report_genes(mapped, genes, str(pairs.uns["source"]))
        context = SPECIES[self.species], ASSAY[self.assay], MODALITY[self.modality]
        max_length = config.max_position_embeddings
        min_length = max_length if self.pooling == "published" else 0
        tokenizer = Tokenizer(genes, means, context, max_length, min_length)
        cells = tokenizer.encode(counts, mapped.ids, self.least_genes)
        network = checkpoint_layouts.load(files.weights, config)
        return CellEmbedder(network, cells, obs_index, self.pooling)

    def _locate(self, revision: str) -> _Files:
        weights = self.weights or hub.fetch(self.repo, "model.safetensors", revision)
        genes = self.genes or hub.fetch(self.repo, "model.h5ad", revision)
        files = _Files(weights.expanduser(), genes.expanduser(), self.means.expanduser())
        for key, path in files._asdict().items():
            filetypes.require_readable(path, "a file", f"set encoders.nicheformer.{key}")
        return files


def _read_genes(files: _Files, config: NicheformerConfig) -> tuple[pd.Index, np.ndarray]:
    """Return the gene list, and each gene's mean in the technology as a positive divisor."""
    expected, remedy = "an .h5ad of the gene list", "set encoders.nicheformer.genes to the hub's"
    if filetypes.require_readable(files.genes, expected, remedy) != filetypes.HDF5:
        raise filetypes.wrong_format(files.genes, expected, remedy)
    try:
        table = ad.read_h5ad(files.genes, backed="r")
        genes = table.var_names
        table.file.close()
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise filetypes.wrong_format(
            files.genes, expected, remedy, error, filetypes.HDF5
        ) from error
    remedy = "set encoders.nicheformer.means to the file of your technology"
    array = arrays.read_npy(files.means, "an .npy of gene means", remedy)
    if array.dtype.kind not in "fiu":
        raise DataError(f"{files.means}: has type {array.dtype}, not numbers; {remedy}")
    means = array.astype(np.float64).ravel()
    if (is_invalid := np.isinf(means) | (means < 0)).any():
        index = int(np.flatnonzero(is_invalid)[0])
        raise DataError(
            f"{files.means}: the mean of gene {index} is {means[index]}, but counts are finite and "
            f"not negative; {remedy}"
        )
    n_genes = config.prediction_size - FIRST_GENE
    for path, count in ((files.genes, len(genes)), (files.means, len(means))):
        if count != n_genes:
            raise DataError(f"{path}: has {count} genes, Nicheformer has {n_genes}")
    return genes, clean_means(means)


def _report_genes(mapped: symbols.MappedGenes, genes: pd.Index, source: str) -> None:
    """Log the numbers of genes in the gene list, without an Ensembl id, and with several names."""
    in_list = mapped.ids.isin(genes)
    tqdm.write(
        f"{source}: {int(in_list.sum())} of {len(in_list)} genes are in the gene list of "
        f"Nicheformer; {len(mapped.unmapped)} have no Ensembl id, and {len(mapped.duplicates)} ids "
        "have several names"
    )
