"""Frozen experts: one module per expert, named as in `params.yaml`.

`names`, `load`, `read_card`, `sha256`, `CARD` and the base class `Encoder` may be used outside of
this folder. `_vision` has the shared parts of image experts, `_nicheformer` the network and
tokenizer of Nicheformer; fine-tuning uses its network, pooling and embedder of cells.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32
from pydantic import JsonValue

from cell_synergy.core import filetypes
from cell_synergy.core.config import Config, validate
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.messages import suggest
from cell_synergy.core.modules import module_names

CARD = "card.json"


class Encoder(Config, ABC):
    """Configuration of an expert, and the operations of every expert."""

    @abstractmethod
    def freeze(self, reference: ad.AnnData, out: Path) -> dict[str, JsonValue]:
        """Fit the expert on reference donors, or locate its published weights.

        Parameters
        ----------
        reference
            Observations of reference donors, which the study never scores.
        out
            Existing folder, into which everything that `embed` needs is written.

        Returns
        -------
        The card of the expert: origin, SHA-256 of the weights, pooling, dimension of the embedding.
        """

    @abstractmethod
    def embed(self, pairs: ad.AnnData, raw: Path, expert: Path) -> Float32[np.ndarray, "obs dim"]:
        """Return the embedding of each observation, in the order of `pairs`.

        Parameters
        ----------
        pairs
            Paired observations.
        raw
            Folder to which the paths in `uns["images"]` are relative.
        expert
            Folder with the output of `freeze` and the card.
        """


def names() -> list[str]:
    """Return the names of all experts."""
    return module_names(__path__)


def load(name: str, settings: Mapping[str, object]) -> Encoder:
    """Return an expert with its configuration; only the module of this expert is imported.

    Parameters
    ----------
    name
        Name of the expert.
    settings
        Block of the expert in `encoders` of params.yaml.

    Raises
    ------
    ConfigError
        If there is no such expert, or a setting is invalid.
    """
    if name not in names():
        raise ConfigError(f"no expert {name!r}{suggest(name, names())}")
    encoder: type[Encoder] = import_module(f"{__name__}.{name}").Expert
    return validate(encoder, settings, f"encoders.{name}")


def read_card(expert: Path) -> dict[str, JsonValue]:
    """Return the card in the folder of a frozen expert; it must have the hash of the weights."""
    remedy = "freeze the expert again (`dvc repro embed`), or `dvc pull`"
    card = filetypes.read_json(expert / CARD, "the card of an expert", remedy)
    if not isinstance(card.get("sha256"), str):
        raise DataError(
            f"{expert / CARD}: has no key `sha256` with the hash of the weights; {remedy}"
        )
    return card


def require_frozen(path: Path, expected: JsonValue, expert: Path) -> None:
    """Refuse a file whose SHA-256 differs from that in the card of the frozen expert.

    Parameters
    ----------
    path
        The file.
    expected
        SHA-256 in the card.
    expert
        Folder of the frozen expert, for messages.

    Raises
    ------
    DataError
        If the hashes differ.
    """
    if (actual := sha256(path)) != expected:
        raise DataError(
            f"{path} (sha256 {actual[:12]}...) is not the file of the frozen expert {expert} "
            f"({str(expected)[:12]}...); run `dvc repro embed` again"
        )


def visible_genes(pairs: ad.AnnData) -> pd.Index:
    """Return the genes that experts may use: all but the panel, whose counts tasks predict."""
    genes: pd.Index = pairs.var_names[~pairs.var["panel"].to_numpy(bool)]
    return genes


def require_genes(pairs: ad.AnnData, genes: Iterable[str], remedy: str) -> None:
    """Refuse pairs in which a gene of the expert is missing or reserved as panel.

    Parameters
    ----------
    pairs
        Paired observations.
    genes
        Genes of the expert.
    remedy
        Remedy, for messages.

    Raises
    ------
    DataError
        If a gene is missing or in the panel.
    """
    if missing := sorted(set(genes) - set(visible_genes(pairs))):
        raise DataError(
            f"{pairs.uns['source']}: {len(missing)} genes of the expert are missing from the pairs "
            f"or reserved as panel, first {missing[0]!r}; {remedy}"
        )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
