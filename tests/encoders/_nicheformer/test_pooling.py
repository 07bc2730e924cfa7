import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from cell_synergy.encoders._nicheformer.modeling import NicheformerModel
from cell_synergy.encoders._nicheformer.pooling import Opened, cells_of
from cell_synergy.encoders._nicheformer.tokenizer import Tokenizer

CONTEXT = (5, 9, 4)


@pytest.fixture
def table():
    """Three units of two, one and no cells; the last of five genes is of the panel."""
    cells = np.array([[1, 0, 2, 0, 4], [0, 3, 0, 1, 4], [2, 2, 0, 0, 0]], dtype=np.float32)
    found = ad.AnnData(
        sparse.csr_matrix(np.stack([cells[0] + cells[1], cells[2], 0 * cells[0]])),
        obs=pd.DataFrame(index=["a", "b", "c"]),
        var=pd.DataFrame({"panel": [False] * 4 + [True]}, index=[f"g{i}" for i in range(5)]),
        uns={"source": "lab"},
    )
    found.uns["cells"] = {"counts": sparse.csr_matrix(cells), "unit": np.array([0, 0, 1])}
    return found


def test_every_unit_has_a_cell_and_no_cell_the_panel(table):
    counts, unit = cells_of(table)
    np.testing.assert_array_equal(unit, [0, 0, 1, 2])
    expected = [[1, 0, 2, 0], [0, 3, 0, 1], [2, 2, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(counts.toarray(), expected)


def test_a_unit_without_known_cells_is_one_itself(table):
    del table.uns["cells"]
    counts, unit = cells_of(table)
    np.testing.assert_array_equal(unit, [0, 1, 2])
    np.testing.assert_array_equal(counts.toarray(), table.X.toarray()[:, :4])


def test_a_unit_is_the_mean_of_its_cells(table, small):
    torch.manual_seed(0)
    network = NicheformerModel(small).eval()
    genes = table.var_names[:4]
    counts, unit = cells_of(table)
    cells = Tokenizer(genes, np.ones(4), CONTEXT, 12).encode(counts, genes, 1)
    opened = Opened(network, cells, unit, "masked")
    sentences = [[32, 30], [31, 33], [30, 31], []]
    with torch.no_grad():
        pooled = [network(torch.tensor([[*CONTEXT, *s]])).mean(dim=1)[0].numpy() for s in sentences]
    expected = np.stack([(pooled[0] + pooled[1]) / 2, pooled[2], pooled[3]])
    assert expected.std(axis=0).min() > 1e-4
    for batch_size in (1, 2, 4):
        np.testing.assert_allclose(opened.embed(batch_size), expected, atol=1e-5)


def test_published_pooling_is_of_the_full_length(table, small):
    network = NicheformerModel(small).eval()
    genes = table.var_names[:4]
    counts, unit = cells_of(table)
    cells = Tokenizer(genes, np.ones(4), CONTEXT, 12, 12).encode(counts, genes, 1)
    opened = Opened(network, cells, unit, "published")
    ids, mask = cells.padded(np.array([2]))
    assert ids.shape == (1, 12)
    with torch.no_grad():
        hidden = network(torch.from_numpy(ids), torch.from_numpy(mask))
    np.testing.assert_allclose(opened.embed(2)[1], hidden[0, 3:].mean(dim=0).numpy(), atol=1e-5)
    np.testing.assert_allclose(opened.embed(4), opened.embed(1), atol=1e-5)
