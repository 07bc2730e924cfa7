"""Frozen experts, one per file: the file's name is the expert's name everywhere."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import anndata as ad
import numpy as np
from jaxtyping import Float32
from pydantic import JsonValue

from cell_synergy.core import filetypes
from cell_synergy.core.config import Config, suggest, validate
from cell_synergy.core.errors import ConfigError, DataError

CARD = "card.json"


class Encoder(Config, ABC):
    """The settings of one expert, and what it does with them."""

    @abstractmethod
    def freeze(self, reference: ad.AnnData, out: Path) -> dict[str, JsonValue]:
        """Fit the expert on reference units, or find its published weights.

        Parameters
        ----------
        reference
            Units of reference donors, which the study never scores.
        out
            Existing folder for whatever `embed` needs.

        Returns
        -------
        What identifies the expert: origin, hash of its weights, pooling, dimension.
        """

    @abstractmethod
    def embed(self, pairs: ad.AnnData, raw: Path, expert: Path) -> Float32[np.ndarray, "obs dim"]:
        """Embed every unit of `pairs`, in order.

        Parameters
        ----------
        pairs
            The units.
        raw
            Folder that `uns["images"]` is relative to.
        expert
            The folder that `freeze` filled.
        """


def names() -> list[str]:
    """Return the name of every expert."""
    return [module.name for module in iter_modules(__path__) if not module.ispkg]


def load(name: str, settings: Mapping[str, object]) -> Encoder:
    """Import `name`'s file alone and give it its settings."""
    if name not in names():
        raise ConfigError(f"no expert {name!r}{suggest(name, names())}")
    encoder: type[Encoder] = import_module(f"{__name__}.{name}").Expert
    return validate(encoder, settings, f"encoders.{name}")


def read_card(expert: Path) -> dict[str, JsonValue]:
    """Return what the folder of a frozen expert says about it."""
    remedy = "freeze the expert again (`dvc repro pretrain`), or `dvc pull`"
    card = filetypes.read_json(expert / CARD, "the card of an expert", remedy)
    if not isinstance(card.get("sha256"), str):
        raise DataError(f"{expert / CARD}: names no `sha256` of the expert's weights; {remedy}")
    return card


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
