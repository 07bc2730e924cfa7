"""Rank encoding of cells: from sparse counts to token sequences, without a dense matrix.

The relative expression of a gene in a cell is its count divided by the mean of the gene in the
technology. The tokens of a cell are species, assay and modality, followed by its expressed genes in
descending order of relative expression. Sorting is stable: equal values keep the order of the gene
list.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Int32, Int64
from scipy import sparse

from cell_synergy.core.errors import DataError

Modality = Literal["dissociated", "spatial"]
Species = Literal["human", "mouse"]
Assay = Literal[
    "MERFISH", "CosMx", "Xenium", "10x 5' v2", "10x 3' v3", "10x 3' v2", "10x 5' v1", "10x 3' v1",
    "10x 3' transcription profiling", "10x 5' transcription profiling", "CITE-seq", "Smart-seq v4",
]  # fmt: skip

MASK, PAD = 0, 1
MODALITY: dict[Modality, int] = {"dissociated": 3, "spatial": 4}
SPECIES: dict[Species, int] = {"human": 5, "mouse": 6}
ASSAY: dict[Assay, int] = {
    "MERFISH": 7, "CosMx": 8, "Xenium": 9, "10x 5' v2": 10, "10x 3' v3": 11, "10x 3' v2": 12,
    "10x 5' v1": 13, "10x 3' v1": 14, "10x 3' transcription profiling": 15,
    "10x 5' transcription profiling": 16, "CITE-seq": 17, "Smart-seq v4": 18,
}  # fmt: skip
FIRST_GENE = 30  # token of the first gene of the list; 19 to 29 are unused
TARGET_SUM = 1e4  # sum to which the counts of a cell are scaled
_CHUNK = 2**20  # number of values that are sorted together


@dataclass(frozen=True)
class TokenSequences:
    """Concatenated token sequences of many cells.

    Attributes
    ----------
    tokens
        Tokens of all cells.
    offsets
        Index of each cell's first token, and the total number of tokens.
    min_length
        Minimum length to which batches are padded.
    """

    tokens: Int32[np.ndarray, " tokens"]
    offsets: Int64[np.ndarray, " cells_and_one"]
    min_length: int = 0

    @property
    def lengths(self) -> Int64[np.ndarray, " cells"]:
        """Number of tokens of each cell."""
        return np.diff(self.offsets)

    def padded(
        self, cells: Int[np.ndarray, " batch"]
    ) -> tuple[Int64[np.ndarray, "batch length"], Int64[np.ndarray, "batch length"]]:
        """Return tokens and attention mask (1 for a token, 0 for padding) of the cells in a batch.

        Both are padded to the longest sequence of the batch, and at least to `min_length`.
        `cells` has the indices of the cells.
        """
        lengths = self.lengths[cells]
        position = np.arange(max(lengths.max(), self.min_length))
        mask = position < lengths[:, None]
        tokens = np.full(mask.shape, PAD, dtype=np.int64)
        tokens[mask] = self.tokens[(self.offsets[cells, None] + position)[mask]]
        return tokens, mask.astype(np.int64)

    def select(self, mask: Bool[np.ndarray, " cells"]) -> "TokenSequences":
        """Return the sequences of the cells for which `mask` is true."""
        offsets = np.concatenate([[0], np.cumsum(self.lengths[mask])])
        tokens = self.tokens[np.repeat(mask, self.lengths)]
        return replace(self, tokens=tokens, offsets=offsets)

    def batches(self, size: int) -> Iterator[Int64[np.ndarray, " batch"]]:
        """Yield the indices of all cells in batches of `size`, in ascending order of length."""
        order = np.argsort(self.lengths, kind="stable")
        yield from (order[start : start + size] for start in range(0, len(order), size))


@dataclass(frozen=True)
class Tokenizer:
    """Rank encoding of cells with a gene list, which maps each gene to a token.

    Attributes
    ----------
    genes
        The gene list; the token of gene `i` is `FIRST_GENE + i`.
    means
        Mean of the scaled non-zero values of each gene in this technology; positive.
    context
        Tokens that precede the genes of each cell.
    max_length, min_length
        Maximum number of tokens of a cell, including the context, and minimum length to which
        batches are padded.
    """

    genes: pd.Index
    means: Float[np.ndarray, " genes"]
    context: tuple[int, ...]
    max_length: int
    min_length: int = 0

    def encode(
        self, counts: sparse.csr_matrix, names: Sequence[str] | pd.Index, min_genes: int
    ) -> TokenSequences:
        """Return the token sequence of each cell: context, then genes by relative expression.

        Genes are in descending order of count / mean; those without counts or outside the gene list
        have no token. A cell without counts has the context tokens only.

        Parameters
        ----------
        counts
            Raw counts, cells x genes.
        names
            Names of the genes of `counts`, as in the gene list; columns of one gene are summed.
        min_genes
            Minimum number of different genes of the gene list that must be among `names`.

        Raises
        ------
        DataError
            If fewer than `min_genes` genes of the gene list are among `names`.
        """
        index = self.genes.get_indexer(pd.Index(names))
        n_known = len(np.unique(index[index >= 0]))
        if n_known < min_genes:
            unknown = [name for name, i in zip(names, index, strict=True) if i < 0]
            raise DataError(
                f"only {n_known} of {len(index)} genes are in the expert's list of "
                f"{len(self.genes)}, {min_genes} are needed; first unknown {unknown[0]!r}: check "
                "the species and that genes are named by the symbols or Ensembl ids of that list"
            )
        aligned = _align(counts, index, len(self.genes))
        # The authors scale the counts of a cell to a common sum first, which changes no rank but
        # would break ties by rounding errors.
        relative = aligned.data / self.means[aligned.indices]
        return self._rank(relative, aligned.indices, aligned.indptr.astype(np.int64))

    def _rank(
        self,
        values: Float[np.ndarray, " values"],
        genes: Int[np.ndarray, " values"],
        indptr: Int64[np.ndarray, " cells_and_one"],
    ) -> TokenSequences:
        """Sort the genes of each cell by descending value, in chunks of cells of similar size."""
        sizes, n_context = np.diff(indptr), len(self.context)
        lengths = np.minimum(sizes, self.max_length - n_context) + n_context
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        tokens = np.empty(offsets[-1], dtype=np.int32)
        tokens[offsets[:-1, None] + np.arange(n_context)] = self.context
        order = np.argsort(sizes, kind="stable")
        for cells in _chunks(order, sizes):
            column = np.arange(sizes[cells[-1]])
            mask = column < sizes[cells, None]
            index = np.where(mask, indptr[cells, None] + column, 0)
            rank = np.argsort(np.where(mask, -values[index], np.inf), axis=1, kind="stable")
            rank = rank[:, : self.max_length - n_context]
            mask = column[: rank.shape[1]] < sizes[cells, None]
            ranked = genes[np.take_along_axis(index, rank, axis=1)[mask]]
            target = offsets[cells, None] + n_context + np.arange(rank.shape[1])
            tokens[target[mask]] = FIRST_GENE + ranked
        return TokenSequences(tokens, offsets, self.min_length)


def scale_counts(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return counts, cells x genes, scaled to a sum of 10,000 in each cell.

    A cell without counts is unchanged.
    """
    sums = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    factors = np.divide(TARGET_SUM, sums, out=np.zeros_like(sums), where=sums > 0)
    values = counts.data * np.repeat(factors, np.diff(counts.indptr))
    return sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)


def clean_means(means: Float[np.ndarray, " genes"]) -> Float[np.ndarray, " genes"]:
    """Return published technology means as positive divisors.

    Genes that the technology does not measure are NaN in the published files and become 1. Other
    means are rounded half up, with a minimum of 1.
    """
    rounded = np.floor(np.nan_to_num(means) + 0.5)
    return np.where(rounded == 0, 1.0, rounded)


def nonzero_means(counts: sparse.csr_matrix) -> Float[np.ndarray, " genes"]:
    """Return the mean over the cells that express a gene of its count scaled as in `scale_counts`.

    It is 1 for a gene without counts.

    Parameters
    ----------
    counts
        Raw counts, cells x genes.
    """
    values = scale_counts(counts)
    n_cells = np.bincount(values.indices, weights=values.data > 0, minlength=counts.shape[1])
    sums = np.bincount(values.indices, weights=values.data, minlength=counts.shape[1])
    return np.divide(sums, n_cells, out=np.ones_like(sums), where=n_cells > 0)


def _align(
    counts: sparse.csr_matrix, index: Int[np.ndarray, " columns"], n_genes: int
) -> sparse.csr_matrix:
    """Reorder columns as in the gene list; genes with a negative index and zeros are dropped."""
    mask = index[counts.indices] >= 0
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))[mask]
    columns = index[counts.indices[mask]]
    aligned = sparse.csr_matrix(
        (counts.data[mask].astype(np.float64), (rows, columns)), shape=(counts.shape[0], n_genes)
    )
    aligned.eliminate_zeros()
    aligned.sort_indices()
    return aligned


def _chunks(
    order: Int[np.ndarray, " cells"], sizes: Int64[np.ndarray, " cells"]
) -> Iterator[Int[np.ndarray, " chunk"]]:
    """Yield cells with counts, in ascending order of size, in chunks of a bounded size."""
    first = int(np.searchsorted(sizes[order], 1))  # cells without counts have no genes to sort
    while first < len(order):
        # the padded size of a chunk is set by its last and largest cell
        count = max(_CHUNK // int(sizes[order[first]]), 1)
        last = min(first + count, len(order))
        count = max(_CHUNK // int(sizes[order[last - 1]]), 1)
        yield order[first : first + count]
        first += count
