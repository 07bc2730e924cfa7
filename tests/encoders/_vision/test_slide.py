"""A gigapixel slide is embedded in little memory."""

import json
import os
import subprocess
import sys

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile

from cell_synergy import encoders
from cell_synergy.raw.images import TissueConfig, on_tissue, open_slide

SIDE, TILE, MPP = 40_000, 512, 0.25
SETTINGS = {"field_um": 112.0, "context_um": 336.0, "input_px": 128, "batch_size": 16}

EMBED = """
import json, sys
from pathlib import Path
import anndata as ad
import numpy as np
from cell_synergy import encoders
from cell_synergy.core.device import use_threads

use_threads(1)
settings, folder = json.loads(sys.argv[1])
pairs = ad.read_h5ad(Path(folder, "pairs.h5ad"))
embedding = encoders.load("efficientnet_lite0", settings).embed(pairs, Path(folder), Path(folder))
np.save(Path(folder, "embedding.npy"), embedding)
peak = next(l for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l)
print(peak.split()[1])  # of this program alone; ru_maxrss begins with the parent's
"""


def _write(path):
    """Write the same encoded tile everywhere, and a pyramid on top, as scanners do."""
    y, x = np.mgrid[:TILE, :TILE] * (2 * np.pi / TILE)
    colours = np.stack([np.sin(9 * x + 4 * y), np.cos(7 * y), np.sin(5 * x)], axis=2)
    tile = np.clip(160 + 50 * colours, 0, 255).round().astype(np.uint8)
    encoded = bytes(imagecodecs.jpeg8_encode(tile, level=70, colorspace="rgb", outcolorspace="rgb"))
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for level, side in enumerate((SIDE, SIDE // 4, SIDE // 16)):
            tiff.write(
                (encoded for _ in range((-(-side // TILE)) ** 2)),
                shape=(side, side, 3), dtype=np.uint8, tile=(TILE, TILE), compression="jpeg",
                photometric="rgb", subfiletype=int(level > 0), metadata=None,
            )  # fmt: skip
    return tile


@pytest.mark.slow
def test_500_observations_of_a_slide_of_1600_megapixels_are_embedded_in_4_gib(units, tmp_path):
    tile = _write(tmp_path / "slide.tif")
    pairs = units(500, 2)
    pairs.obs["section"] = pd.Categorical(["S"] * 500)
    pairs.obsm["spatial"] = np.random.default_rng(0).uniform(0, SIDE * MPP, (500, 2))
    pairs.obsm["spatial"][:2] = np.array([[10, 10], [11, 12]]) * TILE * MPP  # equal patches
    pairs.uns["mpp"], pairs.uns["images"] = {"S": MPP}, {"S": "slide.tif"}
    pairs.write_h5ad(tmp_path / "pairs.h5ad")
    rule = TissueConfig(field_um=112.0, white=0.9, black=0.05, least=0.25)
    with open_slide(tmp_path / "slide.tif") as slide:
        patch = slide.crop(np.array([10.5, 70.5]) * TILE, TILE)
        inside, has_tissue = on_tissue(slide, pairs.obsm["spatial"], MPP, rule)
    assert np.abs(patch.astype(int) - tile).max() < 12  # JPEG
    assert 450 < inside.sum() == has_tissue.sum() < 500
    card = encoders.load("efficientnet_lite0", SETTINGS).freeze(pairs, tmp_path)
    (tmp_path / encoders.CARD).write_text(json.dumps(card))
    done = subprocess.run(
        [sys.executable, "-c", EMBED, json.dumps([SETTINGS, str(tmp_path)])],
        check=True, capture_output=True, text=True,
        env=os.environ | {"CELL_SYNERGY_SCRATCH": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert int(done.stdout) * 1024 < 4 * 2**30
    embedding = np.load(tmp_path / "embedding.npy")
    assert embedding.shape == (500, 944)
    np.testing.assert_allclose(embedding[0], embedding[1], atol=1e-4)
    assert np.abs(embedding[0] - embedding[2]).max() > 0.01
