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
    "mean": "0.485, 0.456, 0.406",
    "std": "0.229, 0.224, 0.225",
    "resize": "bilinear",
    "field_um": 24.0,
    "input_px": 28,
    "precision": "float32",
    "batch_size": 3,
}


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    """One thread of the CPU, and a scratch folder of the test's own."""
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path / "scratch"))
    for module in (features, image_expert, published):
        monkeypatch.setattr(module, "device", lambda: torch.device("cpu"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def empty():
    """Return a function that builds a vision transformer with everything that UNI2-h has."""
    return lambda: transformer.build("vit_giant_patch14_224", ARGUMENTS)


@pytest.fixture
def network(empty):
    """The same with random weights."""
    found = empty().to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in found.named_parameters():
            tensor.normal_(float("gamma" in name), 0.2, generator=generator)
    return found


@pytest.fixture
def weights(network, tmp_path):
    """The file of its state dict."""
    torch.save(network.state_dict(), tmp_path / "weights.bin")
    return tmp_path / "weights.bin"


@pytest.fixture
def make(weights):
    """Return a function that makes the expert of these weights."""
    return lambda **changes: encoders.load(
        "uni2_h", {**SETTINGS, "weights": str(weights), **changes}
    )


@pytest.fixture
def tissue(units, tmp_path):
    """Return pairs of two interleaved sections at 0.5 and 1 um per pixel, and their folder."""
    table = units(20, 2)
    table.obs["section"] = pd.Categorical(["fine", "coarse"] * 10)
    table.obsm["spatial"] = np.random.default_rng(1).uniform(0, 60, (20, 2))
    table.uns["mpp"] = {"fine": 0.5, "coarse": 1.0}
    table.uns["images"] = {"fine": "fine.png", "coarse": "coarse.png"}
    y, x = np.mgrid[:120, :120] / 2
    colours = np.stack(
        [np.sin(x / 5 + y / 9), np.cos(y / 7), np.sin(x / 3) * np.cos(y / 4)], axis=2
    )
    fine = np.clip(150 + 60 * colours, 0, 255).round().astype(np.uint8)
    for name, image in (("fine", fine), ("coarse", fine[::2, ::2])):
        (tmp_path / f"{name}.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(image)))
    return table, tmp_path


@pytest.fixture
def embed(tissue, tmp_path):
    """Return a function that freezes an expert and embeds the tissue with it."""
    table, raw = tissue
    folder = tmp_path / "frozen"

    def run(one, *, freeze=True):
        if freeze:
            folder.mkdir(exist_ok=True)
            (folder / encoders.CARD).write_text(json.dumps(one.freeze(table, folder)))
        return one.embed(table, raw, folder)

    return run
