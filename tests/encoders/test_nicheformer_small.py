import anndata as ad
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from scipy import sparse

from cell_synergy import encoders
from cell_synergy.core.errors import DataError
from cell_synergy.encoders import nicheformer_small
from cell_synergy.encoders._nicheformer.tokenizer import TokenSequences

SETTINGS = {
    "genes": 16,
    "least_share": 0.05,
    "ranks": 10,
    "width": 8,
    "layers": 1,
    "heads": 2,
    "feedforward": 16,
    "initial_std": 0.1,
    "held": 0.2,
    "pretraining": {
        "epochs": 2,
        "batch_size": 8,
        "lr": 0.01,
        "weight_decay": 0.01,
        "seed": 0,
    },
    "pooling": "masked",
    "batch_size": 16,
}


@pytest.fixture(autouse=True)
def _scratch(tmp_path, monkeypatch):
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path / "scratch"))


def _expert(**changes):
    return encoders.load("nicheformer_small", {**SETTINGS, **changes})


def _embedded(reference, pairs, folder, **changes):
    folder.mkdir(exist_ok=True)
    expert = _expert(**changes)
    expert.freeze(reference, folder)
    return expert.embed(pairs, folder, folder)


def test_observations_are_embedded_with_the_frozen_weights(units, tmp_path):
    pairs = units(9, 20, panel=4, seed=1)
    embedding = _embedded(units(40, 20, panel=4), pairs, tmp_path)
    cell_embedder = _expert().cell_embedder(pairs, tmp_path)
    ids, mask = cell_embedder.cells.padded(np.arange(9))
    assert ids.shape[1] == 13
    with torch.no_grad():
        hidden = cell_embedder.network(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    expected = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1)[:, None]
    np.testing.assert_allclose(embedding, expected, atol=1e-5)
    assert embedding.dtype == np.float32
    assert embedding.std(axis=0).min() > 0


@pytest.mark.parametrize("part", ["reference", "study"])
def test_panel_genes_never_enter(units, tmp_path, part):
    def tables():
        return {"reference": units(40, 20, panel=4), "study": units(9, 20, panel=4, seed=1)}

    changed = tables()
    counts = changed[part].X.toarray()
    counts[:, -4:] = np.random.default_rng(0).poisson(500, counts[:, -4:].shape)
    changed[part].X = sparse.csr_matrix(counts)
    before = _embedded(tables()["reference"], tables()["study"], tmp_path / "before")
    after = _embedded(changed["reference"], changed["study"], tmp_path / "after")
    np.testing.assert_array_equal(before, after)
    genes = set((tmp_path / "after" / "genes.txt").read_text().split())
    assert genes == {f"g{i}" for i in range(16)}


def test_equal_reference_data_give_equal_files(units, tmp_path):
    cards = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        cards.append(_expert().freeze(units(40, 20), tmp_path / name))
    assert cards[0] == cards[1]
    first, second = (sorted((tmp_path / name).iterdir()) for name in ("first", "second"))
    assert [path.name for path in first] == ["genes.txt", "losses.tsv", "nicheformer.safetensors"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_stripe_of_each_section_is_for_validation_only(units, tmp_path, monkeypatch):
    reference = units(40, 20)
    reference.obsm["spatial"][:, 0] = np.random.default_rng(0).permutation(40) * 10.0
    sequences: dict[str, TokenSequences] = {}

    def stop(_, cells, validation, *__):
        sequences.update(cells=cells, validation=validation)
        raise KeyboardInterrupt

    monkeypatch.setattr(nicheformer_small, "pretrain", stop)
    with pytest.raises(KeyboardInterrupt):
        _expert(genes=20, ranks=20).freeze(reference, tmp_path)
    validation_mask = reference.obsm["spatial"][:, 0] >= 320
    for part, rows in (("validation", validation_mask), ("cells", ~validation_mask)):
        sizes = (reference.X[rows] > 0).sum(axis=1).A1 + 3
        np.testing.assert_array_equal(sequences[part].lengths, np.minimum(sizes, 23))


def test_highly_variable_genes_are_selected(units, tmp_path):
    reference = units(60, 20)
    counts = reference.X.toarray()
    counts[:, 3] = 5
    counts[:, 7] = np.where(np.arange(60) % 2, 60, 0)
    counts[:, 8] = np.eye(60)[0] * 500  # in one observation of 60
    reference.X = sparse.csr_matrix(counts)
    _embedded(reference, reference, tmp_path, genes=5)
    genes = (tmp_path / "genes.txt").read_text().split()
    assert len(genes) == 5
    assert "g7" in genes
    assert not {"g3", "g8"} & set(genes)
    assert genes == sorted(genes, key=lambda name: int(name[1:]))


def test_cells_are_trained_on_and_averaged(units, tmp_path):
    def with_cells(count, seed):
        cells = units(2 * count, 20, seed=seed)
        adata = cells[::2].copy()
        adata.X = sparse.csr_matrix(cells.X[::2] + cells.X[1::2])
        unit = np.repeat(np.arange(count), 2)
        adata.uns["cells"] = {"counts": sparse.csr_matrix(cells.X), "unit": unit}
        return adata, cells

    (reference, _), (whole, cells) = with_cells(20, 0), with_cells(5, 1)
    embedding = _embedded(reference, whole, tmp_path)
    alone = _expert().embed(cells, tmp_path, tmp_path)
    np.testing.assert_allclose(embedding, (alone[::2] + alone[1::2]) / 2, atol=1e-5)


def test_the_file_is_small_and_in_half_precision(units, tmp_path):
    _embedded(units(40, 20), units(9, 20), tmp_path)
    state = load_file(tmp_path / "nicheformer.safetensors")
    assert {a.dtype.name for name, a in state.items() if name != "means"} == {"float16"}
    assert not [name for name in state if "head" in name]
    assert state["embeddings.weight"].shape == (46, 8)


def test_the_card_identifies_the_weights(units, tmp_path):
    card = _expert().freeze(units(40, 20), tmp_path)
    assert card["encoder"] == "nicheformer_small"
    assert card["state"] == "fitted"
    assert card["dimension"] == 8
    assert card["sha256"] == encoders.sha256(tmp_path / "nicheformer.safetensors")
    losses = np.loadtxt(tmp_path / "losses.tsv", skiprows=1)
    assert card["held_loss"] == pytest.approx(losses[:, 2].min())


@pytest.mark.parametrize("panel", [0, 2])
def test_genes_that_are_missing_or_hidden_are_named(units, tmp_path, panel):
    pairs = units(10, 16, panel=panel)
    _embedded(units(40, 16), units(10, 16), tmp_path)
    incomplete = pairs if panel else pairs[:, :-2].copy()
    with pytest.raises(
        DataError, match=r"lab: 2 genes of the expert are missing .* first 'g14'; pretrain"
    ):
        _expert().embed(incomplete, tmp_path, tmp_path)


def test_genes_in_another_order_or_further_ones_give_the_same_rows(units, tmp_path):
    pairs = units(10, 16, seed=1)
    expected = _embedded(units(40, 16), pairs, tmp_path)
    extra = ad.AnnData(sparse.csr_matrix(np.full((10, 1), 9.0, np.float32)), obs=pairs.obs[[]])
    extra.var_names = ["new"]
    other = ad.concat([extra, pairs[:, ::-1]], axis=1)
    other.uns, other.var["panel"] = pairs.uns, False
    embedding = _expert().embed(other, tmp_path, tmp_path)
    np.testing.assert_allclose(embedding, expected, atol=1e-5)


def test_data_without_an_expressed_gene_are_refused(units, tmp_path):
    reference = units(40, 20)
    reference.X = sparse.csr_matrix(np.zeros((40, 20), np.float32))
    with pytest.raises(
        DataError, match="lab: no gene is expressed in 5% of the reference cells; lower"
    ):
        _expert().freeze(reference, tmp_path)
