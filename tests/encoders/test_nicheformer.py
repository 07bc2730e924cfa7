import functools
import json
import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from scipy import sparse

from cell_synergy import encoders
from cell_synergy.core import hub
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.encoders import nicheformer
from cell_synergy.encoders._nicheformer import checkpoint_layouts
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from tests import broken

GENES = [f"ENSG{i:011d}" for i in range(1, 21)]
SMALL = functools.partial(
    NicheformerConfig,
    vocab_size=55,
    prediction_size=50,
    max_position_embeddings=20,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=16,
)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Write small files in the published formats; return the parameters of the expert."""
    monkeypatch.setattr(nicheformer, "NicheformerConfig", SMALL)
    rng = torch.Generator().manual_seed(0)
    state = {
        f"nicheformer.{name}": torch.randn(shape, generator=rng)
        for name, shape in checkpoint_layouts.published_shapes(SMALL()).items()
    }
    save_file(state, tmp_path / "model.safetensors")
    ad.AnnData(var=pd.DataFrame(index=GENES)).write_h5ad(tmp_path / "model.h5ad")
    np.save(tmp_path / "means.npy", np.where(np.arange(20) % 3, np.nan, 2.0))
    return {
        "repo": "theislab/Nicheformer",
        "revision": "main",
        "weights": str(tmp_path / "model.safetensors"),
        "genes": str(tmp_path / "model.h5ad"),
        "means": str(tmp_path / "means.npy"),
        "species": "human",
        "assay": "Xenium",
        "modality": "spatial",
        "least_genes": 4,
        "pooling": "masked",
        "batch_size": 3,
    }


@pytest.fixture
def pairs(units):
    adata = units(7, 6, panel=1)
    adata.var_names = [*GENES[3:8], GENES[0]]
    return adata


def _frozen(settings, pairs, folder):
    folder.mkdir(exist_ok=True)
    card = encoders.load("nicheformer", settings).freeze(pairs, folder)
    (folder / encoders.CARD).write_text(json.dumps(card))
    return card


def _embedded(settings, pairs, folder):
    _frozen(settings, pairs, folder)
    return encoders.load("nicheformer", settings).embed(pairs, folder, folder)


@torch.no_grad()
def test_observations_are_embedded_by_their_token_sequence(published, pairs, tmp_path):
    embedding = _embedded(published, pairs, tmp_path / "expert")
    network = checkpoint_layouts.load(tmp_path / "model.safetensors", SMALL())
    means = np.where(np.arange(20) % 3, 1.0, 2.0)[3:8]
    for row, counts in enumerate(pairs.X.toarray()[:, :5]):
        order = sorted(np.flatnonzero(counts), key=lambda g: (-(counts / means)[g], g))
        ids = torch.tensor([[5, 9, 4, *(33 + np.array(order))]])
        np.testing.assert_allclose(embedding[row], network(ids).mean(dim=1)[0].numpy(), atol=1e-5)
    assert embedding.shape == (7, 8)


def test_panel_genes_never_enter(published, pairs, tmp_path):
    before = _embedded(published, pairs, tmp_path / "expert")
    counts = pairs.X.toarray()
    counts[:, -1] += 500
    pairs.X = sparse.csr_matrix(counts)
    np.testing.assert_array_equal(_embedded(published, pairs, tmp_path / "expert"), before)


def test_an_observation_is_the_mean_over_its_cells(published, pairs, tmp_path):
    alone = _embedded(published, pairs, tmp_path / "expert")
    whole = pairs[[0, 2]].copy()
    whole.X = sparse.csr_matrix(pairs.X[[0, 2]] + pairs.X[[1, 3]])
    cells = {"counts": sparse.csr_matrix(pairs.X[[0, 1, 2, 3]]), "unit": np.array([0, 0, 1, 1])}
    whole.uns["cells"] = cells
    embedding = encoders.load("nicheformer", published).embed(whole, tmp_path, tmp_path / "expert")
    np.testing.assert_allclose(
        embedding, [alone[:2].mean(axis=0), alone[2:4].mean(axis=0)], atol=1e-5
    )


def test_published_pooling_averages_over_padding(published, pairs, tmp_path):
    settings = published | {"pooling": "published"}
    embedding = _embedded(settings, pairs, tmp_path / "expert")
    whole = encoders.load("nicheformer", settings | {"batch_size": 7})
    np.testing.assert_allclose(
        whole.embed(pairs, tmp_path, tmp_path / "expert"), embedding, atol=1e-5
    )
    masked = _embedded(published, pairs, tmp_path / "expert")
    assert np.abs(embedding - masked).max() > 1e-3


def test_the_card_describes_the_files(published, pairs, tmp_path):
    card = _frozen(published, pairs, tmp_path / "expert")
    assert card["state"] == "pretrained"
    assert card["dimension"] == 8
    assert card["context"] == "human, Xenium, spatial"
    assert (card["known_genes"], card["unknown_genes"]) == (6, 0)
    for key, file in (("sha256", "model.safetensors"), ("genes_sha256", "model.h5ad")):
        assert card[key] == encoders.sha256(tmp_path / file)


def test_files_of_the_hub_are_fetched_at_the_frozen_commit(published, pairs, tmp_path, monkeypatch):
    requests = []

    def fetch(repo, file, revision):
        requests.append((repo, file, revision))
        return tmp_path / "snapshots" / "abc" / file

    monkeypatch.setattr(hub, "fetch", fetch)
    (folder := tmp_path / "snapshots" / "abc").mkdir(parents=True)
    for key in ("weights", "genes"):
        path = tmp_path / published.pop(key).rpartition("/")[2]
        path.rename(folder / path.name)
    assert _frozen(published, pairs, tmp_path / "expert")["revision"] == "abc"
    encoders.load("nicheformer", published).embed(pairs, tmp_path, tmp_path / "expert")
    repo = "theislab/Nicheformer"
    files = ("model.safetensors", "model.h5ad")
    assert requests == [(repo, f, "main") for f in files] + [(repo, f, "abc") for f in files]


@pytest.mark.parametrize("key", ["weights", "genes", "means"])
def test_a_missing_file_is_named_with_its_key(published, pairs, tmp_path, key):
    settings = published | {key: str(tmp_path / "nowhere")}
    with pytest.raises(DataError, match=rf"nowhere: no such file; set encoders.nicheformer.{key}"):
        _frozen(settings, pairs, tmp_path / "expert")


def test_other_means_than_the_frozen_are_refused(published, pairs, tmp_path):
    _frozen(published, pairs, tmp_path / "expert")
    np.save(tmp_path / "means.npy", np.ones(20))
    with pytest.raises(DataError, match=r"means.npy \(sha256 .*\) is not the file of the frozen"):
        encoders.load("nicheformer", published).embed(pairs, tmp_path, tmp_path / "expert")


@pytest.mark.parametrize("file", ["model.h5ad", "means.npy"])
def test_another_gene_list_is_refused(published, pairs, tmp_path, file):
    ad.AnnData(var=pd.DataFrame(index=GENES[:19])).write_h5ad(tmp_path / "model.h5ad")
    if file == "means.npy":
        ad.AnnData(var=pd.DataFrame(index=GENES)).write_h5ad(tmp_path / "model.h5ad")
        np.save(tmp_path / "means.npy", np.ones(19))
    with pytest.raises(DataError, match=rf"{file}: has 19 genes, Nicheformer has 20"):
        _frozen(published, pairs, tmp_path / "expert")


@pytest.mark.parametrize(
    ("file", "what"),
    [("model.h5ad", "an .h5ad of the gene list"), ("means.npy", "an .npy of gene means")],
)
@broken.each(broken.COMMON, broken.OTHERS)
def test_a_broken_file_is_named(published, pairs, tmp_path, file, what, given, said):
    (tmp_path / file).write_bytes(given)
    with pytest.raises(DataError, match=rf"{file}: (is|cannot be read as) ") as raised:
        _frozen(published, pairs, tmp_path / "expert")
    assert what in str(raised.value) or re.search(said, str(raised.value))
    assert "\n" not in str(raised.value)


def test_a_gene_list_that_is_cut_short_is_named(published, pairs, tmp_path):
    path = tmp_path / "model.h5ad"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"model\.h5ad: cannot be read as an \.h5ad of the gene"):
        _frozen(published, pairs, tmp_path / "expert")


def test_gene_means_that_are_objects_are_not_unpickled(published, pairs, tmp_path):
    bomb, marker = broken.bomb(tmp_path)
    np.save(tmp_path / "means.npy", np.array([bomb] * 20, dtype=object))
    with pytest.raises(DataError, match=r"means\.npy: holds objects of Python, which are code"):
        _frozen(published, pairs, tmp_path / "expert")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("means", "message"),
    [
        (np.array(["a"] * 20), r"has type <U1, not numbers"),
        (np.ones(20, complex), "has type complex128, not numbers"),
        (np.r_[np.ones(19), np.inf], "the mean of gene 19 is inf"),
        (np.r_[-1.0, np.ones(19)], r"the mean of gene 0 is -1\.0"),
    ],
)
def test_invalid_gene_means_are_refused(published, pairs, tmp_path, means, message):
    np.save(tmp_path / "means.npy", means)
    with pytest.raises(DataError, match=rf"means\.npy: {message}"):
        _frozen(published, pairs, tmp_path / "expert")


def test_too_few_genes_of_the_list_are_refused(published, pairs, tmp_path):
    _frozen(published, pairs, tmp_path / "expert")
    pairs.var_names = [*GENES[3:6], "SIM1", "SIM2", GENES[0]]
    with pytest.raises(DataError, match="only 3 of 5 genes are in the expert's list of 20, 4 are"):
        encoders.load("nicheformer", published).embed(pairs, tmp_path, tmp_path / "expert")


def test_a_technology_without_a_token_must_be_replaced_by_name(published):
    with pytest.raises(
        ConfigError, match=r"nicheformer\.assay: no 'Visium'; valid: 10x 3' .*, MERFISH, "
    ):
        encoders.load("nicheformer", published | {"assay": "Visium"})
