"""What of an expert learns: LoRA beside its linear layers, or its last layers; saved apart from it.

LoRA (Hu et al. 2021, arXiv:2106.09685) adds `alpha / rank * B A` to the weight of a linear layer; B
starts at zero, so that the expert starts as it was. The adapters are those of `peft`: whoever has
the same expert can load them with it.
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
from cell_synergy.core.random import integer
from cell_synergy.finetuning.config import FinetuneConfig, LoRAConfig
from cell_synergy.finetuning.tunable import Expert

Tuned = dict[str, Tensor]
"""The tensors that learn, by their names in the network."""

BASE = "base.json"
_LAST = "last.safetensors"
_CONFIG, _ADAPTERS = "adapter_config.json", "adapter_model.safetensors"
_LR = {"lr": 1.0}  # of training, which is over
_REMEDY = "give the folder that fine-tuning wrote, or tune again"
_AT_ONCE = 32  # sequences or images that are embedded at a time: time and memory, not results


class Adapted:
    """An expert with the tensors that learn taken out: every fit has its own copy of those.

    Attributes
    ----------
    expert
        The frozen expert, whose network stays as it is.
    settings
        What learns.
    network
        The same parameters, with adapters beside them.
    names
        Of the tensors that learn.
    """

    def __init__(self, expert: Expert, settings: FinetuneConfig) -> None:
        shared: dict[int, Any] = {id(tensor): tensor for tensor in expert.network.parameters()}
        self.expert, self.settings = expert, settings
        self.network: nn.Module = deepcopy(expert.network, shared)
        part = settings.part
        if isinstance(part, LoRAConfig):
            self.network = _with_lora(self.network, part, expert.linears)
        self.network.requires_grad_(False).eval()
        every = [name for name, _ in self.network.named_parameters()]
        if isinstance(part, LoRAConfig):
            self.names = [name for name in every if ".lora_" in name]
        else:
            last = _last(expert, part.layers) if part else ()
            self.names = [name for name in every if name.startswith(last)]

    def start(self, seed: int) -> Tuned:
        """Return new tensors that learn: the expert's own, or adapters that change nothing yet."""
        torch.manual_seed(integer(seed, "initial weights"))
        for module in self.network.modules():
            if isinstance(module, LoraLayer):
                module.reset_lora_parameters("default", init_lora_weights=True)  # type: ignore[no-untyped-call]
        found = dict(self.network.named_parameters())
        return {name: found[name].detach().clone().requires_grad_() for name in self.names}

    def features(
        self,
        tuned: Tuned,
        units: Int[np.ndarray, " rows"],
        random: np.random.Generator | None = None,
    ) -> Float32[Tensor, "rows d"]:
        """Embed some units, in evaluation mode; a step of training gives its random generator.

        In training adapters have dropout and a unit may show some of its cells only.
        """
        for module in self.network.modules():
            if isinstance(module, LoraLayer):
                module.lora_dropout.train(random is not None)
        return self._features(self.network, tuned, units, random)

    @torch.no_grad()
    def embed(self, tuned: Tuned, units: Int[np.ndarray, " rows"]) -> Float32[Tensor, "rows d"]:
        """Embed any number of units, from all their cells; without tensors as the expert."""
        full = np.cumsum(self.expert.items[units]) // _AT_ONCE
        parts = np.split(units, np.flatnonzero(np.diff(full)) + 1)
        merged = self._merged(tuned)
        return torch.cat(
            [self._features(self.expert.network, merged, part, None) for part in parts]
        )

    def _features(
        self,
        network: nn.Module,
        tensors: Tuned,
        units: Int[np.ndarray, " rows"],
        random: np.random.Generator | None,
    ) -> Float32[Tensor, "rows d"]:
        def call(*inputs: Tensor) -> Any:  # noqa: ANN401 - whatever the network returns
            return functional_call(network, dict(tensors), inputs)

        half = self.settings.precision == "bfloat16"
        with torch.autocast(device().type, dtype=torch.bfloat16, enabled=half):
            return self.expert.features(call, self.expert.batch(units, random)).float()

    def _merged(self, tuned: Tuned) -> Tuned:
        """Return the expert's own tensors with the adapters' changes added, which costs less."""
        if not (tuned and isinstance(self.settings.part, LoRAConfig)):
            return tuned
        found = {}
        for name, module in self.network.named_modules():
            if isinstance(module, LoraLayer):
                down, up = (tuned[f"{name}.lora_{part}.default.weight"] for part in "AB")
                place = f"{name.removeprefix('base_model.model.')}.weight"
                found[place] = module.base_layer.weight + module.scaling["default"] * up @ down
        return found

    def save(self, folder: Path, tuned: Mapping[str, Tensor]) -> None:
        """Write what has learnt to an existing folder, and which expert it belongs to."""
        whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tuned.items()}
        if isinstance(self.network, PeftModel):
            named = f"{self.expert.name}, sha256 {self.expert.sha256}"
            self.network.peft_config["default"].base_model_name_or_path = named
            self.network.save_pretrained(str(folder), state_dict=whole, save_embedding_layers=False)
            (folder / "README.md").unlink()  # a form that nobody filled in
        elif whole:
            save_file(whole, folder / _LAST)
        base: dict[str, JsonValue] = {"expert": self.expert.name, "sha256": self.expert.sha256}
        (folder / BASE).write_text(json.dumps(base, indent=1) + "\n")


def load(folder: Path, expert: Expert) -> nn.Module:
    """Return a copy of the expert's network with what `Adapted.save` wrote.

    Of LoRA it is peft's model: `merge_and_unload()` adds the changes to the weights.

    Raises
    ------
    DataError
        If the folder belongs to another expert, or a file of it is not what was written.
    """
    base = filetypes.read_json(folder / BASE, "what says which expert was tuned", _REMEDY)
    if (sha256 := str(base.get("sha256"))) != expert.sha256:
        raise DataError(
            f"{folder} was tuned on {base.get('expert')} (sha256 {sha256[:12]}...), which is "
            f"not {expert.name} (sha256 {expert.sha256[:12]}...); give that expert, or tune again"
        )
    network: nn.Module = deepcopy(expert.network)
    if (folder / _LAST).exists():
        _fill(network, tensors.read(folder / _LAST, _REMEDY), folder / _LAST)
    elif (folder / _CONFIG).exists():
        network = _adapted(network, folder, expert.linears)
    return network.eval()


def _adapted(network: nn.Module, folder: Path, linears: str) -> PeftModel:
    """Return a network with the adapters of a folder.

    Rank, alpha and dropout are all that is taken from the settings there: peft would follow others
    to further files, or to the hub.
    """
    path = folder / _CONFIG
    words = filetypes.read_json(path, "the settings of LoRA adapters", _REMEDY)
    found = [words.get(name) for name in ("r", "lora_alpha", "lora_dropout")]
    if words.get("peft_type") != "LORA" or not all(isinstance(n, int | float) for n in found):
        raise DataError(f"{path}: holds no rank, alpha and dropout of LoRA; {_REMEDY}")
    try:
        how = LoRAConfig.model_validate(
            dict(zip(("rank", "alpha", "dropout"), found, strict=True)) | _LR
        )
    except ValidationError as error:
        raise DataError(f"{path}: {error.errors()[0]['msg']}; {_REMEDY}") from error
    made = _with_lora(network, how, linears)
    state = tensors.read(folder / _ADAPTERS, _REMEDY)
    named = {re.sub(r"\.(lora_[AB])\.", r".\1.default.", name): t for name, t in state.items()}
    wanted = {name: t for name, t in made.state_dict().items() if ".lora_" in name}
    tensors.require_match(folder / _ADAPTERS, named, wanted, _REMEDY)
    _fill(made, named, folder / _ADAPTERS)
    return made


def _fill(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Put some of a network's tensors in place."""
    own = network.state_dict()
    tensors.require_match(path, state, {n: own[n] for n in state.keys() & own.keys()}, _REMEDY)
    network.load_state_dict(state, strict=False)


def _last(expert: Expert, count: int) -> tuple[str, ...]:
    """Return how the names of the last layers' parameters begin."""
    if count > len(expert.layers):
        raise ConfigError(
            f"finetune.last.layers: {count} is more than the {len(expert.layers)} of "
            f"{expert.name}; set it lower"
        )
    return tuple(f"{part}." for layer in expert.layers[-count:] for part in layer)


def _with_lora(network: nn.Module, how: LoRAConfig, linears: str) -> PeftModel:
    config = LoraConfig(
        r=how.rank, lora_alpha=how.alpha, lora_dropout=how.dropout, target_modules=linears
    )
    found: PeftModel = get_peft_model(network, config)
    return found
