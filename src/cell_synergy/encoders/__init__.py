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
from cell_synergy.core.discovery import module_names
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.messages import suggest

CARD = "card.json"


class Encoder(Config, ABC):
    """Base class of experts: the fields are an expert's configuration, the methods its operations.

    An expert is a frozen encoder of image patches or of counts. Its card (`card.json`) is a JSON
    object with its origin, pooling, and the SHA-256 of its weights.
    """

    @abstractmethod
    def freeze(self, reference: ad.AnnData, out: Path) -> dict[str, JsonValue]:
        """Fit the expert on reference donors, or locate its published weights; return its card.

        Parameters
        ----------
        reference
            Observations of reference donors, which the study never scores: raw counts in `X`, and
            the gene panel in `var["panel"]`.
        out
            Existing folder, into which everything that `embed` needs is written, except the card.

        Returns
        -------
        The content of the card: at least `encoder` (name), `origin`, `state` (`pretrained` or
        `fitted`), `sha256` (of the weights), `pooling` and `dimension` (of the embedding).

        Raises
        ------
        DataError
            If the reference observations are too few or have too few genes, or a file of published
            weights is missing, damaged or of another network.
        """

    @abstractmethod
    def embed(self, pairs: ad.AnnData, raw: Path, expert: Path) -> Float32[np.ndarray, "obs dim"]:
        """Return the embedding of each observation, in the order of `pairs`.

        Parameters
        ----------
        pairs
            Observations with raw counts, coordinates in micrometres and images.
        raw
            Folder to which the paths of images in `uns["images"]` are relative.
        expert
            Folder with the output of `freeze` and the card.

        Raises
        ------
        DataError
            If the card, the weights or an input of the expert (image, genes) cannot be read, or the
            weights are not those of the card.
        """


def names() -> list[str]:
    """Return the names of all experts, which are the modules of this folder, sorted."""
    return module_names(__path__)


def load(name: str, settings: Mapping[str, object]) -> Encoder:
    """Return the encoder configured by `settings`; no weights are read.

    No other expert's module is imported.

    Parameters
    ----------
    name
        Name of the expert, that of its module in this folder.
    settings
        Section `encoders.<name>` of params.yaml.

    Raises
    ------
    ConfigError
        If there is no such expert, or a setting is invalid.
    """
    if name not in names():
        raise ConfigError(f"no expert {name!r}{suggest(name, names())}")
    encoder: type[Encoder] = import_module(f"{__name__}.{name}").Expert
    return validate(encoder, settings, f"encoders.{name}")


def read_card(expert: Path, *keys: str) -> dict[str, JsonValue]:
    """Return the card of a frozen expert: the content of `card.json`.

    Parameters
    ----------
    expert
        Folder of the frozen expert.
    keys
        Keys that the card must have beside `sha256`, the SHA-256 of the weights.

    Raises
    ------
    DataError
        If the file is missing or is no JSON object, or a key is missing.
    """
    remedy = "freeze the expert again (`dvc repro embed`), or `dvc pull`"
    card = filetypes.read_json(expert / CARD, "the card of an expert", remedy)
    if not isinstance(card.get("sha256"), str):
        raise DataError(
            f"{expert / CARD}: has no key `sha256` with the hash of the weights; {remedy}"
        )
    if missing := [key for key in keys if key not in card]:
        raise DataError(f"{expert / CARD}: has no key `{missing[0]}`; {remedy}")
    return card


def require_frozen(path: Path, expected: JsonValue, expert: Path) -> None:
    """Refuse a file whose SHA-256 differs from that in the card of the frozen expert.

    Parameters
    ----------
    path
        An existing file of published weights, genes or means.
    expected
        SHA-256 in the card, as hexadecimal digits.
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
    """Return the names of the genes that experts may use, in the order of `pairs.var_names`.

    Those are all but the gene panel (`var["panel"]`), whose counts a task predicts.
    """
    genes: pd.Index = pairs.var_names[~pairs.var["panel"].to_numpy(bool)]
    return genes


def require_genes(pairs: ad.AnnData, genes: Iterable[str], remedy: str) -> None:
    """Refuse pairs in which a gene that the expert needs is missing or in the held-out gene panel.

    Parameters
    ----------
    pairs
        Paired observations, with the gene panel in `var["panel"]`.
    genes
        Names of the genes that the expert was fitted with.
    remedy
        What the user can do about it, for messages.

    Raises
    ------
    DataError
        If a gene is missing or in the gene panel, whose counts a task predicts.
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
