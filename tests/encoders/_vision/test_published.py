import json
import shutil
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from cell_synergy import encoders
from cell_synergy.core import hub
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.data import embeddings
from cell_synergy.encoders._vision import transformer
from cell_synergy.encoders._vision.published import PublishedTransformer

COMMIT = "0123456789" * 4
SIZES = {  # numbers of parameters and tensors; UNI2-h from its hub page, others from the papers
    "uni2_h": (681_394_176, 343),
    "uni": (303_350_784, 342),
    "h_optimus_0": (1_134_774_272, 567),
    "virchow2": (631_239_424, 455),
    "prov_gigapath": (1_134_953_984, 566),
}


def _reference(network, tissue, field_um=24.0):
    """Embed as public pipelines do: Pillow crops, torchvision's transform, one by one."""
    pairs, raw = tissue
    transform = transforms.Compose(
        [
            transforms.Resize(28),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    rows = []
    for (x, y), name in zip(pairs.obsm["spatial"], pairs.obs["section"], strict=True):
        mpp = pairs.uns["mpp"][name]
        image = np.pad(np.asarray(Image.open(raw / f"{name}.png")), ((99,), (99,), (0,)), "reflect")
        side = round(field_um / mpp)
        left, top = (int(np.floor(v / mpp - side / 2 + 0.5)) + 99 for v in (x, y))
        patch = Image.fromarray(image).crop((left, top, left + side, top + side))
        with torch.inference_mode():
            rows.append(network(transform(patch)[None])[0].numpy())
    return np.stack(rows)


def test_the_embedding_is_that_of_pillow_and_torchvision(network, tissue, make, embed):
    embedding, expected = embed(make()), _reference(network, tissue)
    assert embedding.dtype == np.float32
    spread = expected.std(axis=0).mean()
    assert np.sqrt(np.mean((embedding - expected) ** 2)) < 0.05 * spread
    assert np.sqrt(np.mean((embedding[1:] - expected[:-1]) ** 2)) > spread


def test_a_second_field_of_view_stands_beside_the_first(network, tissue, make, embed):
    embedding = embed(make(context_um=48.0))
    assert embedding.shape == (20, 96)
    np.testing.assert_array_equal(embedding[:, :48], embed(make()))
    expected = _reference(network, tissue, 48.0)
    error = np.sqrt(np.mean((embedding[:, 48:] - expected) ** 2))
    assert error < 0.05 * expected.std(axis=0).mean()


def test_both_halves_of_the_pooled_features_are_returned(make, embed):
    embedding = embed(make(pooling="token+mean", width=96))
    np.testing.assert_array_equal(embedding[:, :48], embed(make()))
    assert np.abs(embedding[:, 48:] - embedding[:, :48]).max() > 0.1


def test_bfloat16_is_close_to_float32_and_used_if_the_device_has_it(make, embed, monkeypatch):
    single = embed(make())
    monkeypatch.setattr(transformer, "has_bfloat16", lambda _: False)
    np.testing.assert_array_equal(embed(make(precision="bfloat16")), single)
    monkeypatch.setattr(transformer, "has_bfloat16", lambda _: True)
    half = embed(make(precision="bfloat16"))
    error = np.abs(half - single).mean() / single.std(axis=0).mean()
    assert 0 < error < 0.05
    assert half.dtype == np.float32


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_converted_to_float32(network, weights, make, embed, kind):
    torch.save({n: t.to(kind) for n, t in network.state_dict().items()}, weights)
    assert np.isfinite(embed(make())).all()


def test_the_card_identifies_the_weights_and_forbids_redistribution(units, weights, make, tmp_path):
    card = make(context_um=48.0).freeze(units(2, 2), tmp_path)
    assert card == {
        "encoder": "uni2_h",
        "origin": "weights.bin",
        "state": "pretrained",
        "revision": "",
        "sha256": encoders.sha256(weights),
        "parameters": 85_568,
        "pooling": "token at 24 and 48 um",
        "dimension": 96,
        "precision": "float32",
        "licence": "CC-BY-NC-ND 4.0",
        "redistribute": False,
    }


def test_the_card_is_written_with_the_embedding(make, embed, tissue, tmp_path):
    embedding = embed(make())
    card = encoders.read_card(tmp_path / "frozen")
    embeddings.write(tmp_path / "e.h5ad", embedding, tissue[0].obs_names, card)
    assert not ad.read_h5ad(tmp_path / "e.h5ad").uns["encoder"]["redistribute"]


def test_a_branch_of_the_hub_is_resolved_once_and_recorded(
    weights, make, embed, monkeypatch, tmp_path
):
    requests = []
    folder = tmp_path / "cache/models--lab--net/snapshots" / COMMIT
    folder.mkdir(parents=True)
    shutil.copy(weights, folder)

    def fetch(repo, file, revision, kind="model"):
        requests.append((repo, file, revision, kind))
        return folder / file

    monkeypatch.setattr(hub, "fetch", fetch)
    embed(make(weights=None))
    assert requests == [("lab/net", "weights.bin", r, "model") for r in ("main", COMMIT)]
    card = encoders.read_card(tmp_path / "frozen")
    assert card["origin"] == "https://huggingface.co/lab/net"
    assert card["revision"] == COMMIT


def test_other_weights_than_the_frozen_ones_are_refused(network, weights, make, embed):
    embed(make())
    torch.save({n: t + 1 for n, t in network.state_dict().items()}, weights)
    message = r"weights\.bin \(sha256 .*\) is not the file of the frozen .*; run `dvc"
    with pytest.raises(DataError, match=message):
        embed(make(), freeze=False)


def test_a_wrong_file_is_refused_by_freeze(weights, make, embed):
    torch.save({"conv1.weight": torch.zeros(3)}, weights)
    with pytest.raises(DataError, match=r"weights\.bin: not the weights of this network: it lacks"):
        embed(make())


def test_a_local_file_that_is_not_there_is_named(make, embed):
    with pytest.raises(DataError, match=r"none\.bin: no such file; set `weights` to the file of l"):
        embed(make(weights="none.bin"))


def test_weights_that_are_not_finite_are_refused(network, weights, make, embed):
    state = network.state_dict()
    state["blocks.1.attn.proj.bias"][3] = torch.nan
    torch.save(state, weights)
    message = (
        "features of observation 'u0' and 2 others of its batch are not finite; .*: get them again"
    )
    with pytest.raises(DataError, match=message):
        embed(make())


def test_the_width_must_be_the_networks(make, embed):
    with pytest.raises(ConfigError, match="has 48 features with pooling 'token'; set `width` to"):
        embed(make(width=64))
    with pytest.raises(ConfigError, match="takes no input of `input_px` 30"):
        embed(make(input_px=30))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": [0.5, 0.5]}, r"encoders\.uni2_h\.mean"),
        ({"std": "0.5, 0.5, 0.5"}, r"encoders\.uni2_h\.std"),
        ({"pooling": "mean"}, r"encoders\.uni2_h\.pooling: no 'mean'; valid: token, "),
        ({"weight": "w.bin"}, r"unknown parameter \(did you mean 'weights'"),
    ],
)
def test_invalid_parameters_are_named(make, change, message):
    with pytest.raises(ConfigError, match=message):
        make(**change)


@pytest.mark.parametrize(
    "name", ["uni2_h", *(pytest.param(n, marks=pytest.mark.slow) for n in SIZES if n != "uni2_h")]
)
def test_each_published_expert_has_the_published_size(name, expert_block):
    expert = encoders.load(name, expert_block(name))
    assert isinstance(expert, PublishedTransformer)
    network = transformer.build(expert.model, expert.arguments)
    expert._require_width(network)
    size = sum(p.numel() for p in network.parameters()), len(network.state_dict())
    assert size == SIZES[name]


def test_all_published_experts_have_a_size():
    files = Path(encoders.__path__[0]).glob("*.py")
    assert {
        file.stem for file in files if "import PublishedTransformer" in file.read_text()
    } == set(SIZES)


@pytest.mark.slow
def test_random_weights_of_uni2_h_are_saved_loaded_strictly_and_run(expert_block, tissue, tmp_path):
    """In half precision, to keep the file small: 1.4 GB."""
    settings = expert_block("uni2_h")
    network = transformer.build(settings["model"], settings["arguments"])
    noise = torch.randn(2**24, generator=torch.Generator().manual_seed(0)) * 0.02
    noise = noise.to(torch.bfloat16)
    path = tmp_path / "pytorch_model.bin"
    state = {n: noise[: t.numel()].view(t.shape).clone() for n, t in network.state_dict().items()}
    torch.save(state, path)
    del state
    expert = encoders.load("uni2_h", {**settings, "weights": str(path)})
    pairs, raw = tissue
    (tmp_path / "frozen").mkdir()
    card = expert.freeze(pairs, tmp_path / "frozen")
    assert (card["parameters"], card["dimension"]) == (681_394_176, 1536)
    (tmp_path / "frozen" / encoders.CARD).write_text(json.dumps(card))
    embedding = expert.embed(pairs[:1].copy(), raw, tmp_path / "frozen")
    assert embedding.shape == (1, 1536)
    assert np.isfinite(embedding).all()
    assert embedding.std() > 0
