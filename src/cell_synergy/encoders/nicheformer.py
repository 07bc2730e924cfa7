"""Nicheformer with its published weights, frozen: the expression expert of the paper.

Schaar, Tejada-Lapuerta et al., Nicheformer, Nature Methods 22:2525 (2025). Licence BSD-3. Weights
and gene list: theislab/Nicheformer on the hub; technology means: the folder data/model_means of
https://github.com/theislab/nicheformer. Twelve post-norm layers, 512 wide, of which the last one's
hidden states are averaged.

Departures: ties keep the order of the gene list; technology means are cleaned before they divide
(the published files hold NaN for genes that were not measured); by default padding is not averaged
over and the three context tokens are. Checked: both layouts, on random weights, against PyTorch's
own encoder. Not checked: the published weights themselves, which no test carries.
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
from cell_synergy.encoders import Encoder, read_card, sha256
from cell_synergy.encoders._nicheformer import checkpoint_layouts, symbols
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.modeling import Pooling
from cell_synergy.encoders._nicheformer.pooling import Opened, cells_of
from cell_synergy.encoders._nicheformer.tokenizer import (
    ASSAY,
    FIRST_GENE,
    MODALITY,
    SPECIES,
    Assay,
    Modality,
    Species,
    Tokenizer,
    cleaned,
)


class _Files(NamedTuple):
    """The published files, wherever they are."""

    weights: Path
    genes: Path
    means: Path


class Expert(Encoder):
    """A published Nicheformer.

    Attributes
    ----------
    repo, revision
        Where it is on the hub; a branch is resolved to its commit by `freeze`.
    weights, genes
        Files on this machine, taken instead: the checkpoint, and an `.h5ad` whose `var_names` are
        the gene list.
    means
        Mean of each gene of that list in the technology, an `.npy` of the authors' repository.
    species, assay, modality
        What stands in front of every cell.
    least_genes
        Fewer genes that the expert knows are refused.
    pooling
        From tokens to cells.
    batch_size
        Cells that are read at a time.
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
        files = self._files(self.revision)
        config = NicheformerConfig()
        checkpoint_layouts.load(files.weights, config)
        genes, _ = _vocabulary(files, config)
        mapped = symbols.to_ensembl(reference.var_names, genes, self.species)
        return {
            "encoder": "nicheformer",
            "origin": files.weights.name if self.weights else f"https://huggingface.co/{self.repo}",
            "state": "pretrained",
            "revision": hub.commit(files.weights) if self.weights is None else "",
            "sha256": sha256(files.weights),
            "genes_sha256": sha256(files.genes),
            "means_sha256": sha256(files.means),
            "context": f"{self.species}, {self.assay}, {self.modality}",
            "known_genes": int(mapped.ids.isin(genes).sum()),
            "unknown_genes": int((~mapped.ids.isin(genes)).sum()),
            "pooling": f"{self.pooling}, mean of a unit's cells",
            "dimension": config.hidden_size,
        }

    def embed(self, pairs: ad.AnnData, raw: Path, expert: Path) -> Float32[np.ndarray, "obs dim"]:
        return self.opened(pairs, expert).embed(self.batch_size)

    def opened(self, pairs: ad.AnnData, expert: Path) -> Opened:
        """Return the network and the tokens of all cells.

        Raises
        ------
        DataError
            If the files are not those of the frozen expert, or know too few of the genes.
        """
        card = read_card(expert)
        files = self._files(str(card["revision"]) or self.revision)
        for key, path in zip(("sha256", "genes_sha256", "means_sha256"), files, strict=True):
            if (found := sha256(path)) != card[key]:
                raise DataError(
                    f"{path} (sha256 {found[:12]}...) is not the file that {expert} was made with "
                    f"({str(card[key])[:12]}...); run `dvc repro pretrain` again"
                )
        config = NicheformerConfig()
        genes, means = _vocabulary(files, config)
        counts, unit = cells_of(pairs)
        shown = pairs.var_names[~pairs.var["panel"].to_numpy(bool)]
        mapped = symbols.to_ensembl(shown, genes, self.species)
        _report(mapped, genes, str(pairs.uns["source"]))
        context = SPECIES[self.species], ASSAY[self.assay], MODALITY[self.modality]
        longest = config.max_position_embeddings
        shortest = longest if self.pooling == "published" else 0
        tokenizer = Tokenizer(genes, means, context, longest, shortest)
        cells = tokenizer.encode(counts, mapped.ids, self.least_genes)
        return Opened(checkpoint_layouts.load(files.weights, config), cells, unit, self.pooling)

    def _files(self, revision: str) -> _Files:
        weights = self.weights or hub.fetch(self.repo, "model.safetensors", revision)
        genes = self.genes or hub.fetch(self.repo, "model.h5ad", revision)
        files = _Files(weights.expanduser(), genes.expanduser(), self.means.expanduser())
        for key, path in files._asdict().items():
            filetypes.required(path, "a file", f"set encoders.nicheformer.{key}")
        return files


def _vocabulary(files: _Files, config: NicheformerConfig) -> tuple[pd.Index, np.ndarray]:
    """Return the gene list, and the cleaned mean of each gene."""
    wanted, remedy = "an .h5ad of the gene list", "set encoders.nicheformer.genes to the hub's"
    if filetypes.required(files.genes, wanted, remedy) != filetypes.HDF5:
        raise filetypes.unlike(files.genes, wanted, remedy)
    try:
        table = ad.read_h5ad(files.genes, backed="r")
        genes = table.var_names
        table.file.close()
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise filetypes.unlike(files.genes, wanted, remedy, error, filetypes.HDF5) from error
    remedy = "set encoders.nicheformer.means to the file of your technology"
    found = arrays.npy(files.means, "an .npy of gene means", remedy)
    if found.dtype.kind not in "fiu":
        raise DataError(f"{files.means}: holds {found.dtype}, not numbers; {remedy}")
    means = found.astype(np.float64).ravel()
    if (wrong := np.isinf(means) | (means < 0)).any():
        place = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{files.means}: the mean of gene {place} is {means[place]}, but counts are finite and "
            f"not negative; {remedy}"
        )
    expected = config.prediction_size - FIRST_GENE
    for path, count in ((files.genes, len(genes)), (files.means, len(means))):
        if count != expected:
            raise DataError(f"{path}: has {count} genes, Nicheformer has {expected}")
    return genes, cleaned(means)


def _report(mapped: symbols.Mapped, genes: pd.Index, source: str) -> None:
    """Log what the expert will not see."""
    known = mapped.ids.isin(genes)
    tqdm.write(
        f"{source}: {int(known.sum())} of {len(known)} genes are in Nicheformer's list; "
        f"{len(mapped.unmapped)} have no Ensembl id, {len(mapped.duplicates)} ids several names"
    )
