"""Vision transformers of timm: construction on the meta device, strict loading, features."""

import inspect
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from jaxtyping import Float, Float32, UInt8
from pydantic import JsonValue
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cell_synergy.core import tensors
from cell_synergy.core.errors import ConfigError, DataError

Pooling = Literal["token", "token+mean"]
# Excludes the addresses that timm accepts, such as `hf-hub:...` and `local-dir:...`.
_NAME = re.compile(r"\w[\w.-]*")
# Arguments of `timm.create_model`, some of which make it read or download weights.
_TIMM_ARGUMENTS = {*inspect.signature(timm.create_model).parameters} - {"model_name", "kwargs"}
_RESIZE_BYTES = 2**29  # memory of float32 patches that are resized together


def build(model: str, arguments: Mapping[str, JsonValue]) -> VisionTransformer:
    """Return a network of timm on the meta device, which has shapes but no values.

    Parameters
    ----------
    model
        Name of the model in timm.
    arguments
        Keyword arguments of the model's constructor; `mlp_layer` names a layer in `timm.layers`.

    Returns
    -------
    The network in evaluation mode.

    Raises
    ------
    ConfigError
        If timm cannot build the model with these arguments, the name or an argument would make it
        read or download weights, or the model is no vision transformer.
    """
    if not _NAME.fullmatch(model):
        raise ConfigError(
            f"{model!r} would be fetched or read by timm itself, unchecked; give the name of a "
            "model of timm, and the weights by `repo` and `file`, or by `weights`"
        )
    if forbidden := sorted(_TIMM_ARGUMENTS & arguments.keys()):
        raise ConfigError(
            f"arguments.{forbidden[0]}: timm would fetch or read weights by it, unchecked; remove "
            "it, and give the weights by `repo` and `file`, or by `weights`"
        )
    options: dict[str, Any] = dict(arguments)
    try:
        if (layer := options.get("mlp_layer")) is not None:
            options["mlp_layer"] = getattr(timm.layers, str(layer))
        with torch.device("meta"):
            network = timm.create_model(model, pretrained=False, **options)
    except (
        ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
        ValueError,
    ) as error:  # fmt: skip
        raise ConfigError(f"timm cannot build {model!r} with these arguments: {error}") from error
    if not isinstance(network, VisionTransformer):
        raise ConfigError(
            f"{model!r} is no vision transformer of timm; write a module of its own for this expert"
        )
    return network.eval()


def load(network: nn.Module, path: Path) -> None:
    """Load weights into a network on the meta device, memory-mapped if possible.

    Parameters
    ----------
    network
        The network, as `build` returns it; changed in place.
    path
        File of the weights: safetensors, or a state dict of PyTorch.

    Raises
    ------
    DataError
        If the file is missing, damaged or no state dict, its tensors differ from the network's in
        name, shape or type, or it lacks a tensor of the network.
    """
    state = tensors.read(path)
    remedy = "take the file of the model that `model` and `arguments` describe"
    tensors.require_match(path, state, network.state_dict(), remedy)
    network.load_state_dict(state, strict=True, assign=True)
    if uninitialised := [
        n for n, t in chain(network.named_parameters(), network.named_buffers()) if t.is_meta
    ]:
        raise DataError(f"{path}: has no {uninitialised[0]}, which the network needs; {remedy}")


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device has native bfloat16 arithmetic; emulation is five times as slow."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def to_bfloat16(network: nn.Module) -> nn.Module:
    """Convert linear layers and convolutions to bfloat16, in place; the network is returned.

    Features under autocast are unchanged, since autocast would convert the weights in each batch.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.to(torch.bfloat16)
    return network


def inputs(
    patches: UInt8[Tensor, "obs h w 3"],
    side: int,
    mode: Literal["bilinear", "bicubic"],
    mean: Sequence[float],
    std: Sequence[float],
) -> Float32[Tensor, "obs 3 side side"]:
    """Return patches resized with antialiasing and normalised, as input of a vision transformer.

    Each colour becomes (colour - mean) / standard deviation. Unlike in Pillow, colours are not
    rounded after resizing. The memory format is channels_last.

    Parameters
    ----------
    patches
        8-bit RGB patches, height x width x colour.
    side
        Side of the network's input, in pixels; patches of this size are not resized.
    mode
        Interpolation of the resizing.
    mean, std
        Mean and standard deviation of red, green and blue (0 to 1).
    """
    height, width = patches.shape[1:3]
    resized = []
    for chunk in torch.split(patches, max(_RESIZE_BYTES // (12 * height * width), 1)):
        x = chunk.permute(0, 3, 1, 2).float()
        if (height, width) != (side, side):
            x = interpolate(x, size=(side, side), mode=mode, antialias=True).clamp_(0, 255)
        resized.append(x)
    scale = torch.tensor([mean, std], device=patches.device).mul(255)[:, :, None, None]
    x = torch.cat(resized).sub_(scale[0]).div_(scale[1])
    return x.contiguous(memory_format=torch.channels_last)


def features(
    network: VisionTransformer, x: Float[Tensor, "obs 3 side side"], pooling: Pooling
) -> Float32[Tensor, "obs features"]:
    """Return the class token after the last norm, optionally with the mean of the patch tokens.

    Parameters
    ----------
    network
        The vision transformer, in evaluation mode.
    x
        Patches as `inputs` returns them.
    pooling
        `token` for the class token alone, `token+mean` to append the mean of the patch tokens.

    Returns
    -------
    One row per observation, as wide as the transformer; with `token+mean` twice as wide, the class
    token first.
    """
    tokens = network.forward_features(x)
    class_token = tokens[:, 0].float()
    if pooling == "token+mean":
        patches = tokens[:, network.num_prefix_tokens :].float().mean(dim=1)
        return torch.cat([class_token, patches], dim=1)
    return class_token
