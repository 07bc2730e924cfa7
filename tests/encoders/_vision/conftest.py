import json
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import torch

from cell_synergy import encoders
from cell_synergy.encoders._vision import features, image_expert, published, transformer

ARGUMENTS: dict[str, Any] = {
    "img_size": 28,
    "patch_size": 14,
    "depth": 2,
    "num_heads": 3,
    "embed_dim": 48,
    "init_values": 0.1,
    "mlp_ratio": 5.33334,
    "num_classes": 0,
    "no_embed_class": True,
    "mlp_layer": "SwiGLUPacked",
    "act_layer": "silu",
    "reg_tokens": 2,
    "dynamic_img_size": True,
}
SETTINGS = {
    "repo": "lab/net",
    "file": "weights.bin",
    "revision": "main",
    "model": "vit_giant_patch14_224",
    "arguments": ARGUMENTS,
    "pooling": "token",
    "width": 48,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "resize": "bilinear",
    "field_um": 24.0,
    "input_px": 28,
    "precision": "float32",
    "batch_size": 3,
}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch, tmp_path):
    """Use one thread of the CPU, and an empty scratch folder."""
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path / "scratch"))
    for module in (features, image_expert, published):
        monkeypatch.setattr(module, "device", lambda: torch.device("cpu"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def empty():
    """Return a function that builds a small vision transformer with the components of UNI2-h."""
    return lambda: transformer.build("vit_giant_patch14_224", ARGUMENTS)


@pytest.fixture
def network(empty):
    """A small vision transformer with random weights."""
    network = empty().to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            tensor.normal_(float("gamma" in name), 0.2, generator=generator)
    return network


@pytest.fixture
def weights(network, tmp_path):
    """File of the state dict of `network`."""
    torch.save(network.state_dict(), tmp_path / "weights.bin")
    return tmp_path / "weights.bin"


@pytest.fixture
def make(weights):
    """Return a function that makes an expert with these weights."""
    return lambda **changes: encoders.load(
        "uni2_h", {**SETTINGS, "weights": str(weights), **changes}
    )


@pytest.fixture
def tissue(units, tmp_path):
    """Return pairs of two interleaved sections at 0.5 and 1 um per pixel, and their folder."""
    pairs = units(20, 2)
    pairs.obs["section"] = pd.Categorical(["fine", "coarse"] * 10)
    pairs.obsm["spatial"] = np.random.default_rng(1).uniform(0, 60, (20, 2))
    pairs.uns["mpp"] = {"fine": 0.5, "coarse": 1.0}
    pairs.uns["images"] = {"fine": "fine.png", "coarse": "coarse.png"}
    y, x = np.mgrid[:120, :120] / 2
    colours = np.stack(
        [np.sin(x / 5 + y / 9), np.cos(y / 7), np.sin(x / 3) * np.cos(y / 4)], axis=2
    )
    fine = np.clip(150 + 60 * colours, 0, 255).round().astype(np.uint8)
    for name, image in (("fine", fine), ("coarse", fine[::2, ::2])):
        (tmp_path / f"{name}.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(image)))
    return pairs, tmp_path


@pytest.fixture
def embed(tissue, tmp_path):
    """Return a function that freezes an expert and embeds the tissue with it."""
    pairs, raw = tissue
    folder = tmp_path / "frozen"

    def run(expert, *, freeze=True):
        if freeze:
            folder.mkdir(exist_ok=True)
            (folder / encoders.CARD).write_text(json.dumps(expert.freeze(pairs, folder)))
        return expert.embed(pairs, raw, folder)

    return run
