"""Published Nicheformer checkpoints: read as tensors alone, no code of theirs is run.

Two layouts are about: the authors' (a Lightning checkpoint, or its state dict) and the hub's, which
puts `nicheformer.` in front of every name. Both hold one matrix for queries, keys and values.
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
_CLASSES = 164  # of a head for cell types, which nothing uses
_BUFFER = "pos"  # positions 0, 1, ...: some versions keep them


def load(path: Path, config: NicheformerConfig) -> NicheformerModel:
    """Return the encoder of a published checkpoint, in evaluation mode.

    Raises
    ------
    DataError
        If the file cannot be read as tensors, lacks one, or holds one that is not known.
    """
    state = converted(read(path), config, str(path))
    with torch.device("meta"):
        model = NicheformerModel(config)
    model.load_state_dict(state, strict=True, assign=True)
    model.train(mode=False)
    return model


def read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file: safetensors, or a checkpoint that holds nothing but data."""
    return tensors.read(path)


def published(config: NicheformerConfig) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every tensor of the authors' layout, heads included."""
    d, wide = config.hidden_size, config.intermediate_size
    layer = {
        "self_attn.in_proj_weight": (3 * d, d),
        "self_attn.in_proj_bias": (3 * d,),
        "self_attn.out_proj.weight": (d, d),
        "self_attn.out_proj.bias": (d,),
        "linear1.weight": (wide, d),
        "linear1.bias": (wide,),
        "linear2.weight": (d, wide),
        "linear2.bias": (d,),
        **{f"norm{i}.{part}": (d,) for i in (1, 2) for part in ("weight", "bias")},
    }
    places = [f"encoder.layers.{i}" for i in range(config.num_hidden_layers)]
    shapes = {f"{at}.{k}": v for at in ("encoder_layer", *places) for k, v in layer.items()}
    shapes["embeddings.weight"] = (config.vocab_size, d)
    shapes["positional_embedding.weight"] = (config.max_position_embeddings, d)
    heads = {"classifier": config.prediction_size, "pooler": d, "cls": _CLASSES}
    for head, outputs in heads.items():
        shapes |= {f"{head}_head.weight": (outputs, d), f"{head}_head.bias": (outputs,)}
    return shapes


def converted(
    state: Mapping[str, Tensor], config: NicheformerConfig, where: str
) -> dict[str, Tensor]:
    """Return the encoder's tensors by the names that `NicheformerModel` gives them, in float32.

    The unused template `encoder_layer`, the heads and the buffer of positions are left out.

    Raises
    ------
    DataError
        If a tensor is missing, not known, not of the configured shape, or of no plain numbers.
    """
    plain = {name.removeprefix(_PREFIX): tensor for name, tensor in state.items()}
    shapes = published(config)
    needed = [n for n in shapes if n.startswith(("encoder.", "embeddings.", "positional"))]
    if unknown := sorted(set(plain) - set(shapes) - {_BUFFER}):
        raise DataError(
            f"{where}: {len(unknown)} tensors that no published Nicheformer has, first "
            f"{unknown[0]!r}; give the weights of a Nicheformer"
        )
    if missing := [name for name in needed if name not in plain]:
        raise DataError(f"{where}: {len(missing)} tensors are missing, first {missing[0]!r}")
    for name in set(plain) & set(shapes):
        if tuple(plain[name].shape) != shapes[name]:
            raise DataError(
                f"{where}: {name} is of shape {tuple(plain[name].shape)}, not {shapes[name]}"
            )
    tensors.require_numbers(Path(where), {name: plain[name] for name in needed})
    found: dict[str, Tensor] = {}
    for name in needed:
        found |= _parts(name, plain[name].float())
    return found


def _parts(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """Cut what queries, keys and values share into three."""
    before, joint, leaf = name.partition("in_proj_")
    if not joint:
        return {name: tensor}
    return {
        f"{before}{which}_proj.{leaf}": part.contiguous()
        for which, part in zip("qkv", tensor.chunk(3), strict=True)
    }
