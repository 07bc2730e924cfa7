import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from cell_synergy.encoders._nicheformer.modeling import NicheformerModel
from cell_synergy.encoders._nicheformer.pooling import CellEmbedder, visible_cell_counts
from cell_synergy.encoders._nicheformer.tokenizer import Tokenizer

CONTEXT = (5, 9, 4)


@pytest.fixture
def pairs():
    """Three observations with two, one and no cells; the last of five genes is a panel gene."""
    cells = np.array([[1, 0, 2, 0, 4], [0, 3, 0, 1, 4], [2, 2, 0, 0, 0]], dtype=np.float32)
    adata = ad.AnnData(
        sparse.csr_matrix(np.stack([cells[0] + cells[1], cells[2], 0 * cells[0]])),
        obs=pd.DataFrame(index=["a", "b", "c"]),
        var=pd.DataFrame({"panel": [False] * 4 + [True]}, index=[f"g{i}" for i in range(5)]),
        uns={"source": "lab"},
    )
    adata.uns["cells"] = {"counts": sparse.csr_matrix(cells), "unit": np.array([0, 0, 1])}
    return adata


def test_each_observation_has_a_cell_and_no_cell_panel_genes(pairs):
    counts, obs_index = visible_cell_counts(pairs)
    np.testing.assert_array_equal(obs_index, [0, 0, 1, 2])
    expected = [[1, 0, 2, 0], [0, 3, 0, 1], [2, 2, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(counts.toarray(), expected)


def test_an_observation_is_a_cell_where_there_are_none(pairs):
    del pairs.uns["cells"]
    counts, obs_index = visible_cell_counts(pairs)
    np.testing.assert_array_equal(obs_index, [0, 1, 2])
    np.testing.assert_array_equal(counts.toarray(), pairs.X.toarray()[:, :4])


def test_an_observation_is_the_mean_of_its_cells(pairs, small):
    torch.manual_seed(0)
    network = NicheformerModel(small).eval()
    genes = pairs.var_names[:4]
    counts, obs_index = visible_cell_counts(pairs)
    cells = Tokenizer(genes, np.ones(4), CONTEXT, 12).encode(counts, genes, 1)
    embedder = CellEmbedder(network, cells, obs_index, "masked")
    sequences = [[32, 30], [31, 33], [30, 31], []]
    with torch.no_grad():
        pooled = [network(torch.tensor([[*CONTEXT, *s]])).mean(dim=1)[0].numpy() for s in sequences]
    expected = np.stack([(pooled[0] + pooled[1]) / 2, pooled[2], pooled[3]])
    assert expected.std(axis=0).min() > 1e-4
    for batch_size in (1, 2, 4):
        np.testing.assert_allclose(embedder.embed(batch_size), expected, atol=1e-5)


def test_published_pooling_is_of_the_full_length(pairs, small):
    network = NicheformerModel(small).eval()
    genes = pairs.var_names[:4]
    counts, obs_index = visible_cell_counts(pairs)
    cells = Tokenizer(genes, np.ones(4), CONTEXT, 12, 12).encode(counts, genes, 1)
    embedder = CellEmbedder(network, cells, obs_index, "published")
    ids, mask = cells.padded(np.array([2]))
    assert ids.shape == (1, 12)
    with torch.no_grad():
        hidden = network(torch.from_numpy(ids), torch.from_numpy(mask))
    np.testing.assert_allclose(embedder.embed(2)[1], hidden[0, 3:].mean(dim=0).numpy(), atol=1e-5)
    np.testing.assert_allclose(embedder.embed(4), embedder.embed(1), atol=1e-5)
