"""The trainable parameters of an expert: LoRA adapters of its linear layers, or its last layers.

LoRA (Hu et al. 2021, arXiv:2106.09685) adds `alpha / rank * B A` to the weight of a linear layer; B
is initialised with zeros, so that the adapted expert equals the frozen one at first. Adapters are
implemented by `peft` and saved without the expert's weights, in a format that `peft` can load.
"""

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from pydantic import JsonValue, ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import functional_call

from cell_synergy.core import filetypes, tensors
from cell_synergy.core.device import device
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.random import derived_seed
from cell_synergy.finetuning.config import FinetuneConfig, LoRAConfig
from cell_synergy.finetuning.tunable import TunableExpert

Params = dict[str, Tensor]
"""Trainable parameters, by their names in the network."""

_BASE = "base.json"
_LAST = "last.safetensors"
_CONFIG, _ADAPTERS = "adapter_config.json", "adapter_model.safetensors"
_ANY_LR = {"lr": 1.0}  # LoRAConfig requires a learning rate, which loading does not use
_REMEDY = "give the folder that fine-tuning wrote, or tune again"
_EMBED_BATCH_SIZE = 32  # sequences embedded at a time; affects time and memory only


class AdaptedExpert:
    """An expert whose trainable parameters are arguments, so that fits do not share them.

    Parameters
    ----------
    expert
        The frozen expert, whose network is never changed.
    settings
        Configuration of fine-tuning.

    Attributes
    ----------
    network
        Network that shares the parameters of the expert, with adapters added.
    names
        Names of the trainable parameters in `network`; empty if the expert stays frozen.

    Raises
    ------
    ConfigError
        If more last layers are to be trained than the expert has.
    """

    def __init__(self, expert: TunableExpert, settings: FinetuneConfig) -> None:
        shared: dict[int, Any] = {id(tensor): tensor for tensor in expert.network.parameters()}
        self.expert, self.settings = expert, settings
        self.network: nn.Module = deepcopy(expert.network, shared)
        part = settings.part
        if isinstance(part, LoRAConfig):
            self.network = _with_lora(self.network, part, expert.linears)
        self.network.requires_grad_(False).eval()
        all_names = [name for name, _ in self.network.named_parameters()]
        if isinstance(part, LoRAConfig):
            self.names = [name for name in all_names if ".lora_" in name]
        else:
            prefixes = _last_layers(expert, part.layers) if part else ()
            self.names = [name for name in all_names if name.startswith(prefixes)]

    def start(self, seed: int) -> Params:
        """Return initial trainable parameters, with which the network equals the frozen expert.

        Initial values are copies of the expert's parameters, or adapters drawn with the seed.
        """
        torch.manual_seed(derived_seed(seed, "initial weights"))
        for module in self.network.modules():
            if isinstance(module, LoraLayer):
                module.reset_lora_parameters("default", init_lora_weights=True)  # type: ignore[no-untyped-call]
        parameters = dict(self.network.named_parameters())
        return {name: parameters[name].detach().clone().requires_grad_() for name in self.names}

    def features(
        self,
        params: Params,
        rows: Int[np.ndarray, " rows"],
        rng: np.random.Generator | None = None,
    ) -> Float32[Tensor, "rows d"]:
        """Return the embeddings of observations, with gradients for the trainable parameters.

        Parameters
        ----------
        params
            Trainable parameters, with the names that `start` gives them.
        rows
            Indices of the observations of one batch.
        rng
            Random generator of a training step: cells are subsampled with it, and adapters apply
            dropout. None embeds all cells without dropout.
        """
        for module in self.network.modules():
            if isinstance(module, LoraLayer):
                module.lora_dropout.train(rng is not None)
        return self._features(self.network, params, rows, rng)

    @torch.no_grad()
    def embed(self, params: Params, rows: Int[np.ndarray, " rows"]) -> Float32[Tensor, "rows d"]:
        """Return the embeddings of observations from all their cells, without gradients.

        Parameters
        ----------
        params
            Trainable parameters, with the names that `start` gives them; empty for the embedding of
            the frozen expert.
        rows
            Indices of the observations to embed, any number; they are divided into batches.
        """
        batch = np.cumsum(self.expert.items[rows]) // _EMBED_BATCH_SIZE
        batches = np.split(rows, np.flatnonzero(np.diff(batch)) + 1)
        merged = self._merged(params)
        return torch.cat(
            [self._features(self.expert.network, merged, part, None) for part in batches]
        )

    def _features(
        self,
        network: nn.Module,
        params: Params,
        rows: Int[np.ndarray, " rows"],
        rng: np.random.Generator | None,
    ) -> Float32[Tensor, "rows d"]:
        def forward(*inputs: Tensor) -> Any:  # noqa: ANN401 - whatever the network returns
            return functional_call(network, dict(params), inputs)

        autocast = self.settings.precision == "bfloat16"
        with torch.autocast(device().type, dtype=torch.bfloat16, enabled=autocast):
            return self.expert.features(forward, self.expert.batch(rows, rng)).float()

    def _merged(self, params: Params) -> Params:
        """Return the expert's adapted weights with the low-rank updates added.

        A network with merged weights is cheaper to evaluate than one with adapters.
        """
        if not (params and isinstance(self.settings.part, LoRAConfig)):
            return params
        merged = {}
        for name, module in self.network.named_modules():
            if isinstance(module, LoraLayer):
                down, up = (params[f"{name}.lora_{part}.default.weight"] for part in "AB")
                weight = f"{name.removeprefix('base_model.model.')}.weight"
                merged[weight] = module.base_layer.weight + module.scaling["default"] * up @ down
        return merged

    def save(self, folder: Path, params: Mapping[str, Tensor]) -> None:
        """Write trained parameters to a folder, and the name and hash of the expert.

        Parameters
        ----------
        folder
            Existing folder, which gets `base.json` (name and hash, and the name of the file of
            parameters), and adapters in the format of `peft`, or last layers as
            `last.safetensors`; neither if `params` is empty.
        params
            Trained parameters, by their names in `network`.
        """
        file = ""
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in params.items()}
        if isinstance(self.network, PeftModel):
            base_model = f"{self.expert.name}, sha256 {self.expert.sha256}"
            self.network.peft_config["default"].base_model_name_or_path = base_model
            self.network.save_pretrained(
                str(folder), state_dict=contiguous, save_embedding_layers=False
            )
            (folder / "README.md").unlink()  # peft's model card, an empty template
            file = _ADAPTERS
        elif contiguous:
            file = _LAST
            save_file(contiguous, folder / file)
        base: dict[str, JsonValue] = {
            "expert": self.expert.name, "sha256": self.expert.sha256, "parameters": file
        }  # fmt: skip
        (folder / _BASE).write_text(json.dumps(base, indent=1) + "\n")


def load(folder: Path, expert: TunableExpert) -> nn.Module:
    """Return a copy of the expert's network with the parameters that `AdaptedExpert.save` wrote.

    It is in evaluation mode. If `base.json` names no file of parameters, because nothing was
    trained, it equals the frozen expert. With LoRA it is a model of `peft`, whose
    `merge_and_unload()` adds the low-rank updates to the weights.

    Parameters
    ----------
    folder
        Folder that `AdaptedExpert.save` wrote.
    expert
        The frozen expert that was fine-tuned.

    Raises
    ------
    DataError
        If the folder is of another expert, or a file is missing, damaged or does not match the
        network.
    """
    base = filetypes.read_json(folder / _BASE, "what says which expert was tuned", _REMEDY)
    if (sha256 := str(base.get("sha256"))) != expert.sha256:
        raise DataError(
            f"{folder} was tuned on {base.get('expert')} (sha256 {sha256[:12]}...), which is "
            f"not {expert.name} (sha256 {expert.sha256[:12]}...); give that expert, or tune again"
        )
    network: nn.Module = deepcopy(expert.network)
    if (file := base.get("parameters")) not in ("", _LAST, _ADAPTERS):
        raise DataError(
            f"{folder / _BASE}: `parameters` does not name the file of what was trained; {_REMEDY}"
        )
    if file == _LAST:
        _load_some(network, tensors.read(folder / _LAST, _REMEDY), folder / _LAST)
    elif file == _ADAPTERS:
        network = _with_saved_adapters(network, folder, expert.linears)
    return network.eval()


def _with_saved_adapters(network: nn.Module, folder: Path, linears: str) -> PeftModel:
    """Return a network with the adapters saved in a folder.

    Of the saved settings only rank, alpha and dropout are read: other settings of `peft` can refer
    to further files, or to the hub.
    """
    path = folder / _CONFIG
    saved = filetypes.read_json(path, "the settings of LoRA adapters", _REMEDY)
    values = [saved.get(name) for name in ("r", "lora_alpha", "lora_dropout")]
    if saved.get("peft_type") != "LORA" or not all(isinstance(n, int | float) for n in values):
        raise DataError(f"{path}: holds no rank, alpha and dropout of LoRA; {_REMEDY}")
    try:
        config = LoRAConfig.model_validate(
            dict(zip(("rank", "alpha", "dropout"), values, strict=True)) | _ANY_LR
        )
    except ValidationError as error:
        raise DataError(f"{path}: {error.errors()[0]['msg']}; {_REMEDY}") from error
    adapted = _with_lora(network, config, linears)
    state = tensors.read(folder / _ADAPTERS, _REMEDY)
    renamed = {re.sub(r"\.(lora_[AB])\.", r".\1.default.", name): t for name, t in state.items()}
    expected = {name: t for name, t in adapted.state_dict().items() if ".lora_" in name}
    tensors.require_match(folder / _ADAPTERS, renamed, expected, _REMEDY)
    _load_some(adapted, renamed, folder / _ADAPTERS)
    return adapted


def _load_some(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load some tensors into a network; raise an error for unknown names and other shapes."""
    current = network.state_dict()
    expected = {name: current[name] for name in state.keys() & current.keys()}
    tensors.require_match(path, state, expected, _REMEDY)
    network.load_state_dict(state, strict=False)


def _last_layers(expert: TunableExpert, n_layers: int) -> tuple[str, ...]:
    """Return the name prefixes of the parameters of the last layers."""
    if n_layers > len(expert.layers):
        raise ConfigError(
            f"finetune.last.layers: {n_layers} is more than the {len(expert.layers)} of "
            f"{expert.name}; set it lower"
        )
    return tuple(f"{module}." for layer in expert.layers[-n_layers:] for module in layer)


def _with_lora(network: nn.Module, config: LoRAConfig, linears: str) -> PeftModel:
    adapted: PeftModel = get_peft_model(
        network,
        LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules=linears,
        ),
    )
    return adapted
