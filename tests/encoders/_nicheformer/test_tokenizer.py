import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.encoders._nicheformer import tokenizer
from cell_synergy.encoders._nicheformer.tokenizer import (
    FIRST_GENE,
    Tokenizer,
    clean_means,
    nonzero_means,
)

CONTEXT = (5, 9, 4)
GENES = pd.Index([f"ENSG{i:011d}" for i in range(6)])


def _tokenizer(means=None, max_length=1500, genes=GENES):
    means = np.ones(len(genes)) if means is None else np.asarray(means, dtype=float)
    return Tokenizer(genes, means, CONTEXT, max_length)


def _encoded(counts, names=GENES, min_genes=1, **settings):
    return _tokenizer(**settings).encode(sparse.csr_matrix(np.atleast_2d(counts)), names, min_genes)


def _cells(sequences):
    """Return each cell's genes, by their index in the gene list."""
    cells = np.split(sequences.tokens, sequences.offsets[1:-1])
    assert all(tuple(cell[:3]) == CONTEXT for cell in cells)
    return [(cell[3:] - FIRST_GENE).tolist() for cell in cells]


def _one_by_one(counts, means, max_length):
    """Tokenize one dense cell at a time, as described in the paper."""
    for cell in counts:
        relative = np.round(cell * 1e4 / max(cell.sum(), 1) / means, 8)
        order = sorted(np.flatnonzero(cell), key=lambda gene: (-relative[gene], gene))
        yield order[: max_length - 3]


def test_genes_come_by_descending_value_over_the_mean():
    assert _cells(_encoded([4, 0, 6, 1, 0, 9], means=[1, 1, 3, 1, 1, 9])) == [[0, 2, 3, 5]]


@pytest.mark.parametrize("max_length", [1500, 10])
def test_tokens_equal_those_of_the_description_cell_by_cell(max_length, monkeypatch):
    monkeypatch.setattr(tokenizer, "_CHUNK", 64)  # several chunks
    rng = np.random.default_rng(0)
    genes = pd.Index([f"g{i}" for i in range(40)])
    rate = rng.gamma(0.3, 2, 40) * rng.gamma(1, 1, (60, 1))
    counts, means = rng.poisson(rate), rng.integers(1, 4, 40).astype(float)
    sequences = _encoded(counts, genes, genes=genes, means=means, max_length=max_length)
    assert _cells(sequences) == [list(cell) for cell in _one_by_one(counts, means, max_length)]


def test_ties_keep_the_order_of_the_gene_list():
    names = GENES[[5, 3, 1, 0, 2, 4]]
    assert _cells(_encoded([2, 2, 2, 2, 5, 2], names)) == [[2, 0, 1, 3, 4, 5]]


def test_means_that_a_technology_lacks_divide_by_one():
    divisors = clean_means(np.array([np.nan, 0.0, 0.3, 0.5, 1.5, 2.49]))
    np.testing.assert_array_equal(divisors, [1, 1, 1, 1, 2, 2])


def test_genes_without_counts_are_no_tokens_whatever_their_mean():
    means = clean_means(np.array([np.nan, 2.0, np.nan, np.nan, np.nan, 1.0]))
    assert _cells(_encoded([0, 3, 0, 0, 0, 1], means=means)) == [[1, 5]]


def test_stored_zeros_are_no_counts():
    counts = sparse.csr_matrix(np.array([[1.0, 2, 3, 4, 5, 6]]))
    counts.data[2] = 0
    assert _cells(_tokenizer().encode(counts, GENES, 1)) == [[5, 4, 3, 1, 0]]


def test_an_empty_cell_is_its_context():
    assert _cells(_encoded(np.diag([0, 1, 0, 0, 0, 0]))) == [[], [1], [], [], [], []]
    assert _cells(_encoded(np.zeros((2, 6)))) == [[], []]


def test_no_cell_exceeds_the_maximum_length():
    genes = pd.Index([f"g{i}" for i in range(1600)])
    counts = np.arange(1600)[None] + 1
    sequences = _encoded(counts, genes, genes=genes)
    assert sequences.lengths.tolist() == [1500]
    assert _cells(sequences)[0] == list(range(1599, 1599 - 1497, -1))


def test_unknown_genes_are_ignored():
    names = [*GENES, "ACTB", "ENSG99999999999"]
    sequences = _encoded([4, 0, 6, 1, 0, 9, 50, 7], names, means=[1, 1, 3, 1, 1, 9])
    assert _cells(sequences) == [[0, 2, 3, 5]]


def test_columns_of_one_gene_are_summed():
    assert _cells(_encoded([3, 2, 2], GENES[[0, 1, 1]])) == [[1, 0]]


def test_too_few_known_genes_are_counted_and_named():
    message = r"only 2 of 4 genes are in the expert's list of 6, 3 are needed; first unknown 'Actb'"
    with pytest.raises(DataError, match=message):
        _encoded([1, 1, 1, 1], [*GENES[:2], "Actb", "Gapdh"], min_genes=3)


def test_batches_are_trimmed_padded_and_of_similar_length():
    counts = np.tri(6, dtype=int)[[5, 0, 3, 1]]
    sequences = _encoded(counts)
    batches = list(sequences.batches(2))
    assert [batch.tolist() for batch in batches] == [[1, 3], [2, 0]]
    tokens, mask = sequences.padded(batches[0])
    np.testing.assert_array_equal(tokens, [[*CONTEXT, 30, 1], [*CONTEXT, 30, 31]])
    np.testing.assert_array_equal(mask, [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
    assert sequences.padded(batches[1])[0].shape == (2, 9)


def test_cells_are_scaled_to_a_common_sum():
    counts = sparse.csr_matrix(np.array([[1.0, 3, 0], [0, 0, 5]]))
    expected = np.array([[2500, 7500, 0], [0, 0, 1e4]])
    np.testing.assert_allclose(tokenizer.scale_counts(counts).toarray(), expected)


def test_means_are_of_cells_that_have_the_gene():
    counts = sparse.csr_matrix(np.array([[1.0, 3, 0], [0, 4, 0]]))
    np.testing.assert_allclose(nonzero_means(counts), [2500, 8750, 1])
