"""Vision transformers of timm: built without memory, loaded strictly, run on patches."""

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
_NAME = re.compile(r"\w[\w.-]*")  # no place: timm takes `hf-hub:...`, `local-dir:...` and others
# What timm takes itself, not the network: each can name files, or where to fetch some.
_TIMMS = {*inspect.signature(timm.create_model).parameters} - {"model_name", "kwargs"}
_FLOATS = 2**29  # bytes that patches may take as floats before they are resized


def build(model: str, arguments: Mapping[str, JsonValue]) -> VisionTransformer:
    """Return a network of timm on the meta device: shapes, but no memory and no initialisation.

    Parameters
    ----------
    model
        Its name in timm.
    arguments
        Of its construction; `mlp_layer` is the name of a layer of timm.

    Raises
    ------
    ConfigError
        If timm does not know the model or an argument, or makes no vision transformer of them.
    """
    if not _NAME.fullmatch(model):
        raise ConfigError(
            f"{model!r} would be fetched or read by timm itself, unchecked; give the name of a "
            "model of timm, and the weights by `repo` and `file`, or by `weights`"
        )
    if own := sorted(_TIMMS & arguments.keys()):
        raise ConfigError(
            f"arguments.{own[0]}: timm would fetch or read weights by it, unchecked; leave it out, "
            "and name weights by `repo` and `file`, or by `weights`"
        )
    given: dict[str, Any] = dict(arguments)
    try:
        if (layer := given.get("mlp_layer")) is not None:
            given["mlp_layer"] = getattr(timm.layers, str(layer))
        with torch.device("meta"):
            network = timm.create_model(model, pretrained=False, **given)
    except (
        ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
        ValueError,
    ) as error:  # fmt: skip
        raise ConfigError(f"timm makes no {model!r} of these arguments: {error}") from error
    if not isinstance(network, VisionTransformer):
        raise ConfigError(f"{model!r} is no vision transformer of timm; write an expert for it")
    return network.eval()


def load(network: nn.Module, path: Path) -> None:
    """Give a network on the meta device its weights, which stay on disk until they are used.

    Raises
    ------
    DataError
        If the file is no state dict, lacks tensors, or has unknown ones or other shapes or types.
    """
    state = tensors.read(path)
    remedy = "take the file of the model that `model` and `arguments` describe"
    tensors.require_match(path, state, network.state_dict(), remedy)
    network.load_state_dict(state, strict=True, assign=True)
    if left := [
        n for n, t in chain(network.named_parameters(), network.named_buffers()) if t.is_meta
    ]:
        raise DataError(f"{path}: has no {left[0]}, which this network makes itself")


def has_bfloat16(where: torch.device) -> bool:
    """Say whether a device multiplies in bfloat16; a CPU that does not takes five times as long."""
    if where.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.cpu.get_capabilities()
    return any(known.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def halve(network: nn.Module) -> nn.Module:
    """Store what autocast computes in bfloat16 so, in place; norms and embeddings stay as they are.

    The result is that of autocast, which would convert the same weights in every batch.
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
    """Resize (antialiased) and normalise; colours stay the fastest axis in memory.

    Unlike Pillow, colours are not rounded after resizing.
    """
    height, width = patches.shape[1:3]
    parts = []
    for some in torch.split(patches, max(_FLOATS // (12 * height * width), 1)):
        x = some.permute(0, 3, 1, 2).float()
        if (height, width) != (side, side):
            x = interpolate(x, size=(side, side), mode=mode, antialias=True).clamp_(0, 255)
        parts.append(x)
    scale = torch.tensor([mean, std], device=patches.device).mul(255)[:, :, None, None]
    x = torch.cat(parts).sub_(scale[0]).div_(scale[1])
    return x.contiguous(memory_format=torch.channels_last)


def features(
    network: VisionTransformer, x: Float[Tensor, "obs 3 side side"], pooling: Pooling
) -> Float32[Tensor, "obs features"]:
    """Return the class token after the last norm, and after it the mean of the patch tokens."""
    tokens = network.forward_features(x)
    first = tokens[:, 0]
    if pooling == "token+mean":
        patches = tokens[:, network.num_prefix_tokens :].float().mean(dim=1)
        return torch.cat([first.float(), patches], dim=1)
    return first.float()
