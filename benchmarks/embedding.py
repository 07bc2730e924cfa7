"""Time the embedding path against a plain one: Pillow and torchvision in DataLoader workers.

python -m benchmarks.embedding observations=128 repeats=3 out=benchmarks/embedding.csv

Observations on one image of 8,000 x 8,000 pixels (0.5 um, a tiled JPEG TIFF), in
batches of 16, on one thread, all alternately in one process, the best of some repeats. The peer
decodes the image with Pillow and, in as many workers as ours has reading threads, crops each patch,
resizes it and normalises it with torchvision; its network is timm's in float32. `reading` has no
network and 32 times the observations: it measures how fast patches reach the device, which limits a
fast device. A small vision transformer represents the published ones; its features and those of
EfficientNet-Lite0 at two fields of view must equal the peer's.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import anndata as ad
import numpy as np
import pandas as pd
import timm
import torch
from jaxtyping import Float32
from PIL import Image
from pydantic import PositiveInt
from tifffile import imwrite
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from cell_synergy import encoders
from cell_synergy.core.config import Config, arguments, read_section
from cell_synergy.core.device import device, use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.resume.part_store import PartStore
from cell_synergy.encoders import efficientnet_lite0
from cell_synergy.encoders._vision import transformer
from cell_synergy.encoders._vision.features import Network, PatchEmbedder

SIDE, MPP, BATCH = 8_000, 0.5, 16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MODEL = "vit_small_patch16_224"


class Args(Config):
    """Numbers of observations and of repeats, and the output."""

    observations: PositiveInt
    repeats: PositiveInt
    out: Path


def tissue(folder: Path, units: int) -> ad.AnnData:
    """Write smooth noise as an image; return observations on it."""
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(90, 250, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8))
    pixels = np.asarray(rough.resize((SIDE, SIDE)))
    imwrite(folder / "S.tif", pixels, tile=(512, 512), compression="jpeg", photometric="rgb")
    table = ad.AnnData(np.zeros((units, 1), dtype=np.float32))
    table.obs["section"] = "S"
    table.obsm["spatial"] = rng.uniform(200, SIDE * MPP - 200, (units, 2))
    table.uns = {"mpp": {"S": MPP}, "images": {"S": "S.tif"}}
    return table


class Patches(Dataset[list[Tensor]]):
    """Patches of an image, cut and transformed one by one."""

    def __init__(
        self, image: Path, table: ad.AnnData, fields_um: list[float], transform: transforms.Compose
    ) -> None:
        with Image.open(image) as file:
            self.image = file.convert("RGB")
        self.centres = table.obsm["spatial"] / MPP
        self.sides = [round(um / MPP) for um in fields_um]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.centres)

    def __getitem__(self, index: int) -> list[Tensor]:
        found = []
        for side in self.sides:
            left, top = (int(np.floor(v - side / 2 + 0.5)) for v in self.centres[index])
            found.append(self.transform(self.image.crop((left, top, left + side, top + side))))
        return found


Forward = Callable[[Tensor], Tensor]


@torch.inference_mode()
def peer(
    forward: Forward,
    image: Path,
    table: ad.AnnData,
    fields_um: list[float],
    way: transforms.Compose,
) -> Float32[np.ndarray, "obs dim"]:
    """Embed with a DataLoader."""
    workers = min(8, os.cpu_count() or 1) if device().type == "cuda" else 1
    loader = DataLoader(
        Patches(image, table, fields_um, way),
        batch_size=BATCH, num_workers=workers, pin_memory=device().type == "cuda",
    )  # fmt: skip
    rows = []
    for fields in loader:
        found = [forward(x.to(device(), non_blocking=True)) for x in fields]
        rows.append(torch.cat(found, dim=1).cpu().numpy())
    return np.concatenate(rows)


def ours(
    network: Network, folder: Path, table: ad.AnnData, fields_um: list[float], width: int
) -> Float32[np.ndarray, "obs dim"]:
    """Embed with the study's loop."""
    with TemporaryDirectory() as work:
        store = PartStore(Path(work))
        return PatchEmbedder(network, fields_um, BATCH).embed(table, folder, width, store)


def way(side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> transforms.Compose:
    """Return torchvision's transform."""
    return transforms.Compose(
        [transforms.Resize((side, side)), transforms.ToTensor(), transforms.Normalize(mean, std)]
    )


def some_pixels(x: Tensor) -> Tensor:
    """Return a few pixels of each patch, in place of features."""
    return x[:, :, ::56, ::56].flatten(1)


def cases() -> dict[str, tuple[list[float], int, transforms.Compose, Forward, Network]]:
    """Return fields of view, width, the peer's transform and network, and ours, by network."""

    def tokens(patches: Tensor) -> Tensor:
        x = transformer.inputs(patches, 224, "bilinear", MEAN, STD)
        with torch.inference_mode():
            return transformer.features(vit, x, "token")

    def read(patches: Tensor) -> Tensor:
        return some_pixels(transformer.inputs(patches, 224, "bilinear", MEAN, STD))

    torch.manual_seed(0)
    made = timm.create_model(MODEL, num_classes=0).eval().to(device())
    if not isinstance(made, VisionTransformer):
        raise TypeError(f"{MODEL} is no vision transformer")
    vit = made
    settings = read_section("encoders.efficientnet_lite0")
    lite = encoders.load("efficientnet_lite0", settings)
    if not isinstance(lite, efficientnet_lite0.Expert):
        raise TypeError("efficientnet_lite0 is an image expert")
    weights = lite.weights_file({})
    plain = efficientnet_lite0.build(weights).to(device())
    px, half = lite.input_px, (0.5, 0.5, 0.5)
    imagenet = way(224, MEAN, STD)
    return {
        "reading": ([112.0], 48, imagenet, some_pixels, read),
        "reading, 448 px": ([224.0], 48, imagenet, some_pixels, read),
        MODEL: ([112.0], 384, imagenet, vit, tokens),
        "efficientnet_lite0": (
            lite.fields_um, 944, way(px, half, half),
            partial(efficientnet_lite0.pool_stages, plain), lite.network(weights),
        ),
    }  # fmt: skip


def timed(run: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Return the seconds taken, and the features."""
    start = perf_counter()
    found = run()
    return perf_counter() - start, found


def compare(case: str, runs: dict[str, Callable[[], np.ndarray]], args: Args) -> dict[str, object]:
    """Print and return patches per second of both, their ratio, and the difference of features."""
    seconds: dict[str, list[float]] = {which: [] for which in runs}
    features = {}
    for _ in range(args.repeats):
        for which, run in runs.items():
            taken, features[which] = timed(run)
            seconds[which].append(taken)
    count = len(features["peer"])
    speed = {which: count / min(taken) for which, taken in seconds.items()}
    spread = features["peer"].std(axis=0).mean()
    difference = np.abs(features["ours"] - features["peer"]).mean() / spread
    ratio = speed["ours"] / speed["peer"]
    print(
        f"{case}: peer {speed['peer']:.1f} patches/s, ours {speed['ours']:.1f}, ratio "
        f"{ratio:.2f}; difference {difference:.4f} standard deviations",
        flush=True,
    )
    return {"case": case, "patches": count, **speed, "ratio": ratio, "difference": difference}


def main(args: Args) -> None:
    """Compare every network, and write the speeds."""
    use_threads(1)
    print(f"{args.observations} observations on {device()}")
    rows = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        many = tissue(folder, 32 * args.observations)
        for case, (fields, width, transform, forward, network) in cases().items():
            table = many if "reading" in case else many[: args.observations]
            runs: dict[str, Callable[[], np.ndarray]] = {
                "peer": partial(peer, forward, folder / "S.tif", table, fields, transform),
                "ours": partial(ours, network, folder, table, fields, width),
            }
            rows.append(compare(case, runs, args))
    with atomic_write(args.out) as new:
        pd.DataFrame(rows).to_csv(new, index=False, float_format="%.4g")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
