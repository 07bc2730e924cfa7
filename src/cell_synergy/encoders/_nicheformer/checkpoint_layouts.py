"""Loading of published Nicheformer checkpoints, as tensors only: no pickled code is run.

There are two layouts: the authors' (a Lightning checkpoint, or its state dict) and the hub's, whose
tensor names begin with `nicheformer.`. Both have one joint projection for queries, keys and values.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cell_synergy.core import tensors
from cell_synergy.core.errors import DataError
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.modeling import NicheformerModel

_PREFIX = "nicheformer."
_CELL_TYPES = 164  # outputs of the cell-type head, which is not loaded
_POSITIONS = "pos"  # buffer of the positions 0, 1, ... in some checkpoints


def load(path: Path, config: NicheformerConfig) -> NicheformerModel:
    """Return the encoder of a published checkpoint, in evaluation mode.

    Parameters
    ----------
    path
        The checkpoint, in the authors' or the hub's layout.
    config
        Sizes of the network.

    Raises
    ------
    DataError
        If the file is missing, damaged or not of tensors alone, or a tensor is missing, unknown, of
        another shape than the configuration's, or not of floating-point numbers.
    """
    state = convert_state(tensors.read(path), config, str(path))
    with torch.device("meta"):
        model = NicheformerModel(config)
    model.load_state_dict(state, strict=True, assign=True)
    model.train(mode=False)
    return model


def published_shapes(config: NicheformerConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor in the authors' layout, by name, including the heads."""
    d, d_feedforward = config.hidden_size, config.intermediate_size
    layer = {
        "self_attn.in_proj_weight": (3 * d, d),
        "self_attn.in_proj_bias": (3 * d,),
        "self_attn.out_proj.weight": (d, d),
        "self_attn.out_proj.bias": (d,),
        "linear1.weight": (d_feedforward, d),
        "linear1.bias": (d_feedforward,),
        "linear2.weight": (d, d_feedforward),
        "linear2.bias": (d,),
        **{f"norm{i}.{part}": (d,) for i in (1, 2) for part in ("weight", "bias")},
    }
    prefixes = ["encoder_layer", *(f"encoder.layers.{i}" for i in range(config.num_hidden_layers))]
    shapes = {f"{prefix}.{k}": v for prefix in prefixes for k, v in layer.items()}
    shapes["embeddings.weight"] = (config.vocab_size, d)
    shapes["positional_embedding.weight"] = (config.max_position_embeddings, d)
    heads = {"classifier": config.prediction_size, "pooler": d, "cls": _CELL_TYPES}
    for head, outputs in heads.items():
        shapes |= {f"{head}_head.weight": (outputs, d), f"{head}_head.bias": (outputs,)}
    return shapes


def convert_state(
    state: Mapping[str, Tensor], config: NicheformerConfig, source: str
) -> dict[str, Tensor]:
    """Return the tensors of the encoder in float32, named as in `NicheformerModel`.

    The unused layer `encoder_layer`, the heads and the buffer of positions are dropped.

    Parameters
    ----------
    state
        Tensors by name, in the authors' or the hub's layout.
    config
        Sizes of the network.
    source
        Path of the file, for messages.

    Raises
    ------
    DataError
        If a tensor is missing, unknown, of another shape, or not of floating-point numbers.
    """
    unprefixed = {name.removeprefix(_PREFIX): tensor for name, tensor in state.items()}
    shapes = published_shapes(config)
    required = [n for n in shapes if n.startswith(("encoder.", "embeddings.", "positional"))]
    if unknown := sorted(set(unprefixed) - set(shapes) - {_POSITIONS}):
        raise DataError(
            f"{source}: {len(unknown)} tensors do not belong to Nicheformer, first "
            f"{unknown[0]!r}; give the weights of a Nicheformer"
        )
    if missing := [name for name in required if name not in unprefixed]:
        raise DataError(f"{source}: {len(missing)} tensors are missing, first {missing[0]!r}")
    for name in set(unprefixed) & set(shapes):
        if tuple(unprefixed[name].shape) != shapes[name]:
            raise DataError(
                f"{source}: {name} has shape {tuple(unprefixed[name].shape)}, not {shapes[name]}"
            )
    tensors.require_numbers(Path(source), {name: unprefixed[name] for name in required})
    converted: dict[str, Tensor] = {}
    for name in required:
        converted |= _split_projection(name, unprefixed[name].float())
    return converted


def _split_projection(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """Split a joint projection into those of queries, keys and values; return others unchanged."""
    prefix, joint, leaf = name.partition("in_proj_")
    if not joint:
        return {name: tensor}
    return {
        f"{prefix}{letter}_proj.{leaf}": part.contiguous()
        for letter, part in zip("qkv", tensor.chunk(3), strict=True)
    }
