"""Cells as sentences of genes: from sparse counts to tokens, without a dense matrix.

A cell's counts are scaled to a common sum, divided by the technology's mean, and its genes ranked:
the most raised one comes first. Species, assay and modality stand in front. Ranks are stable: equal
values keep the order of the gene list.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
FIRST_GENE = 30  # the token of the gene list's first gene; those between are free
TARGET_SUM = 1e4
_CHUNK = 2**20  # values that are ranked at a time


@dataclass(frozen=True)
class Sentences:
    """The tokens of many cells, end to end.

    Attributes
    ----------
    tokens
        Of all cells.
    starts
        Where each cell's begin, and where the last ends.
    shortest
        Batches are padded to this length at least.
    """

    tokens: Int32[np.ndarray, " tokens"]
    starts: Int64[np.ndarray, " cells_and_one"]
    shortest: int = 0

    @property
    def lengths(self) -> Int64[np.ndarray, " cells"]:
        """Tokens of each cell."""
        return np.diff(self.starts)

    def padded(
        self, cells: Int[np.ndarray, " some"]
    ) -> tuple[Int64[np.ndarray, "some length"], Int64[np.ndarray, "some length"]]:
        """Return the tokens of some cells and their mask, as long as the longest of them."""
        lengths = self.lengths[cells]
        within = np.arange(max(lengths.max(), self.shortest))
        inside = within < lengths[:, None]
        tokens = np.full(inside.shape, PAD, dtype=np.int64)
        tokens[inside] = self.tokens[(self.starts[cells, None] + within)[inside]]
        return tokens, inside.astype(np.int64)

    def taken(self, cells: Bool[np.ndarray, " cells"]) -> "Sentences":
        """Return some of the cells."""
        ends = np.concatenate([[0], np.cumsum(self.lengths[cells])])
        return Sentences(self.tokens[np.repeat(cells, self.lengths)], ends, self.shortest)

    def batches(self, size: int) -> Iterator[Int64[np.ndarray, " some"]]:
        """Yield all cells, short ones first, `size` at a time: little of a batch is padding."""
        order = np.argsort(self.lengths, kind="stable")
        yield from (order[start : start + size] for start in range(0, len(order), size))


@dataclass(frozen=True)
class Tokenizer:
    """Genes, what they are divided by, and what stands in front.

    Attributes
    ----------
    genes
        The gene list: gene `i` is token `FIRST_GENE + i`.
    means
        Each gene's mean of non-zero values after scaling, in this technology; positive.
    context
        Tokens that every cell begins with.
    longest, shortest
        Most tokens of a cell, those included, and the length that batches are padded to at least.
    """

    genes: pd.Index
    means: Float[np.ndarray, " genes"]
    context: tuple[int, ...]
    longest: int
    shortest: int = 0

    def encode(
        self, counts: sparse.csr_matrix, names: Sequence[str] | pd.Index, least: int
    ) -> Sentences:
        """Return the tokens of cells.

        Parameters
        ----------
        counts
            Raw counts, cells x genes.
        names
            The genes of `counts`, named as in the gene list; columns of the same gene are added.
        least
            With fewer known genes than this the cells are refused.

        Raises
        ------
        DataError
            If fewer than `least` of the genes are in the gene list.
        """
        place = self.genes.get_indexer(pd.Index(names))
        known = len(np.unique(place[place >= 0]))
        if known < least:
            unknown = [name for name, at in zip(names, place, strict=True) if at < 0]
            raise DataError(
                f"only {known} of {len(place)} genes are in the expert's list of "
                f"{len(self.genes)}, {least} are needed; first unknown {unknown[0]!r}: check the "
                "species and that genes are named by the symbols or Ensembl ids of that list"
            )
        aligned = _aligned(counts, place, len(self.genes))
        # scaling a cell's counts to a common sum changes no rank, and breaks ties by rounding
        raised = aligned.data / self.means[aligned.indices]
        return self._sentences(raised, aligned.indices, aligned.indptr.astype(np.int64))

    def _sentences(
        self,
        values: Float[np.ndarray, " values"],
        genes: Int[np.ndarray, " values"],
        starts: Int64[np.ndarray, " cells_and_one"],
    ) -> Sentences:
        """Rank each cell's genes by descending value, a chunk of cells of like size at a time."""
        sizes, front = np.diff(starts), len(self.context)
        lengths = np.minimum(sizes, self.longest - front) + front
        ends = np.concatenate([[0], np.cumsum(lengths)])
        tokens = np.empty(ends[-1], dtype=np.int32)
        tokens[ends[:-1, None] + np.arange(front)] = self.context
        order = np.argsort(sizes, kind="stable")
        for cells in _chunks(order, sizes):
            within = np.arange(sizes[cells[-1]])
            inside = within < sizes[cells, None]
            place = np.where(inside, starts[cells, None] + within, 0)
            rank = np.argsort(np.where(inside, -values[place], np.inf), axis=1, kind="stable")
            rank = rank[:, : self.longest - front]
            kept = within[: rank.shape[1]] < sizes[cells, None]
            ranked = genes[np.take_along_axis(place, rank, axis=1)[kept]]
            to = ends[cells, None] + front + np.arange(rank.shape[1])
            tokens[to[kept]] = FIRST_GENE + ranked
        return Sentences(tokens, ends, self.shortest)


def scaled(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return counts scaled to a sum of 10,000 in each cell; an empty cell stays empty."""
    sums = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    factors = np.divide(TARGET_SUM, sums, out=np.zeros_like(sums), where=sums > 0)
    values = counts.data * np.repeat(factors, np.diff(counts.indptr))
    return sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)


def cleaned(means: Float[np.ndarray, " genes"]) -> Float[np.ndarray, " genes"]:
    """Return published technology means fit to divide by.

    Genes that the technology does not measure have NaN there: these become 0. Means are rounded
    half up, and 0 becomes 1.
    """
    rounded = np.floor(np.nan_to_num(means) + 0.5)
    return np.where(rounded == 0, 1.0, rounded)


def nonzero_means(counts: sparse.csr_matrix) -> Float[np.ndarray, " genes"]:
    """Return each gene's mean of non-zero values after scaling; 1 where there are none."""
    values = scaled(counts)
    cells = np.bincount(values.indices, weights=values.data > 0, minlength=counts.shape[1])
    sums = np.bincount(values.indices, weights=values.data, minlength=counts.shape[1])
    return np.divide(sums, cells, out=np.ones_like(sums), where=cells > 0)


def _aligned(
    counts: sparse.csr_matrix, place: Int[np.ndarray, " columns"], genes: int
) -> sparse.csr_matrix:
    """Bring columns to their places in the gene list; drop unknown genes and zeros."""
    kept = place[counts.indices] >= 0
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))[kept]
    columns = place[counts.indices[kept]]
    found = sparse.csr_matrix(
        (counts.data[kept].astype(np.float64), (rows, columns)), shape=(counts.shape[0], genes)
    )
    found.eliminate_zeros()
    found.sort_indices()
    return found


def _chunks(
    order: Int[np.ndarray, " cells"], sizes: Int64[np.ndarray, " cells"]
) -> Iterator[Int[np.ndarray, " some"]]:
    """Cut cells, short ones first, into chunks of a bounded number of values."""
    first = int(np.searchsorted(sizes[order], 1))  # empty cells have nothing to rank
    while first < len(order):
        # cells grow along the order: count with the largest that the chunk could hold
        count = max(_CHUNK // int(sizes[order[first]]), 1)
        last = min(first + count, len(order))
        count = max(_CHUNK // int(sizes[order[last - 1]]), 1)
        yield order[first : first + count]
        first += count
