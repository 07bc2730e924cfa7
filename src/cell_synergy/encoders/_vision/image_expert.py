"""Base class of image experts: fields of view, and an embedding that can be resumed."""

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import anndata as ad
import numpy as np
import timm
from jaxtyping import Float32
from pydantic import JsonValue, PositiveFloat, PositiveInt

from cell_synergy.core.device import device
from cell_synergy.core.resume.part_store import resumable
from cell_synergy.encoders import Encoder, read_card, require_frozen, sha256
from cell_synergy.encoders._vision.features import Network, PatchEmbedder
from cell_synergy.encoders._vision.transformer import has_bfloat16
from cell_synergy.raw.images import require_image


class ImageExpert(Encoder):
    """Base class of image experts, which embed the square patch around each observation.

    Attributes
    ----------
    field_um, context_um
        Side of the square field of view, and of an optional second and wider one, in micrometres.
    input_px
        Side of the network's input, in pixels.
    batch_size
        Observations per batch.
    """

    card_keys: ClassVar[tuple[str, ...]] = ("dimension",)
    """Keys of the card that `embed` reads, beside the SHA-256 of the weights."""

    field_um: PositiveFloat
    context_um: PositiveFloat | None = None
    input_px: PositiveInt
    batch_size: PositiveInt

    @abstractmethod
    def weights_file(self, card: Mapping[str, JsonValue]) -> Path:
        """Return the local path of the weights that a card describes, downloaded if necessary."""

    @abstractmethod
    def network(self, weights: Path) -> Network:
        """Return the network with its weights on the device, as a function of 8-bit patches."""

    @property
    def fields_um(self) -> list[float]:
        """Sides of the fields of view, in the order of their features."""
        return [self.field_um] if self.context_um is None else [self.field_um, self.context_um]

    def embed(self, pairs: ad.AnnData, raw: Path, expert: Path) -> Float32[np.ndarray, "obs dim"]:
        """Return the embedding of each observation's image patches, in the order of `pairs`.

        Completed batches are kept in the scratch folder until the end, so that a call with equal
        inputs resumes after an interruption.

        Parameters
        ----------
        pairs
            Observations with coordinates and images: `obs["section"]`, `obsm["spatial"]`
            (x and y in micrometres), and by section `uns["mpp"]` (micrometres per pixel) and
            `uns["images"]` (path).
        raw
            Folder to which the paths in `uns["images"]` are relative.
        expert
            Folder of the frozen encoder, with `card.json`: the SHA-256 of the weights, and the
            dimension of the embedding.

        Raises
        ------
        ConfigError
            If the network cannot be built from the configuration.
        DataError
            If the card, the weights or an image cannot be read, the SHA-256 of the weights is not
            the card's, the weights do not match the network, a feature is not finite, or the
            scratch folder cannot be used.
        """
        card = read_card(expert, *self.card_keys)
        weights = self.weights_file(card)
        require_frozen(weights, card["sha256"], expert)
        embedder = PatchEmbedder(self.network(weights), self.fields_um, self.batch_size)
        with resumable("embed", self._dependencies(pairs, raw, card)) as store:
            return embedder.embed(pairs, raw, int(str(card["dimension"])), store)

    def _dependencies(
        self, pairs: ad.AnnData, raw: Path, card: Mapping[str, JsonValue]
    ) -> dict[str, JsonValue]:
        """Return everything that the embedding depends on besides code, torch and machine."""
        sections = pairs.obs["section"].astype(str)
        obs = hashlib.sha256("\0".join([*pairs.obs_names, *sections]).encode())
        obs.update(np.ascontiguousarray(pairs.obsm["spatial"], dtype=np.float64).tobytes())
        return {
            "encoder": type(self).__module__,
            "weights": card["sha256"],
            "settings": self.model_dump(mode="json"),
            "obs": obs.hexdigest(),
            "images": {
                section: [float(pairs.uns["mpp"][section]), sha256(require_image(raw / name))]
                for section, name in pairs.uns["images"].items()
                if (sections == section).any()
            },
            "timm": timm.__version__,
            "bfloat16": has_bfloat16(device()),
        }
