"""An expert that sees images: its fields of view, and an embedding that can be interrupted."""

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

import anndata as ad
import numpy as np
import timm
from jaxtyping import Float32
from pydantic import JsonValue, PositiveFloat, PositiveInt

from cell_synergy.core.device import device
from cell_synergy.core.errors import DataError
from cell_synergy.core.resume.part_store import resumable
from cell_synergy.encoders import Encoder, read_card, sha256
from cell_synergy.encoders._vision.features import Network, View
from cell_synergy.encoders._vision.transformer import has_bfloat16
from cell_synergy.raw import images


class ImageExpert(Encoder):
    """What every image expert is told.

    Attributes
    ----------
    field_um, context_um
        Sides of the field of view, and of a second, wider one if there is to be one; micrometres.
    input_px
        Side of the network's input, pixels.
    batch_size
        Units at a time.
    """

    field_um: PositiveFloat
    context_um: PositiveFloat | None = None
    input_px: PositiveInt
    batch_size: PositiveInt

    @abstractmethod
    def weights_file(self, card: Mapping[str, JsonValue]) -> Path:
        """Return the file of the weights that a card is about."""

    @abstractmethod
    def network(self, weights: Path) -> Network:
        """Return the network with its weights, on the device."""

    @property
    def fields_um(self) -> list[float]:
        """The fields of view, narrow to wide as they are told."""
        return [self.field_um] if self.context_um is None else [self.field_um, self.context_um]

    def embed(self, pairs: ad.AnnData, raw: Path, expert: Path) -> Float32[np.ndarray, "obs dim"]:
        """Embed every unit; what was done before an interruption is not done again.

        See `Encoder.embed`.

        Raises
        ------
        DataError
            If the weights are not those that `freeze` saw, or an image cannot be read.
        """
        card = read_card(expert)
        weights = self.weights_file(card)
        if (expected := card["sha256"]) != (found := sha256(weights)):
            raise DataError(
                f"{weights}: these weights (sha256 {found[:12]}...) are not those of {expert} "
                f"({str(expected)[:12]}...); run `dvc repro pretrain` again"
            )
        view = View(self.network(weights), self.fields_um, self.batch_size)
        with resumable("embed", self._identity(pairs, raw, card)) as store:
            return view.embed(pairs, raw, int(str(card["dimension"])), store)

    def _identity(
        self, pairs: ad.AnnData, raw: Path, card: Mapping[str, JsonValue]
    ) -> dict[str, JsonValue]:
        """Return what the embedding depends on besides the code, torch and the machine."""
        sections = pairs.obs["section"].astype(str)
        units = hashlib.sha256("\0".join([*pairs.obs_names, *sections]).encode())
        units.update(np.ascontiguousarray(pairs.obsm["spatial"], dtype=np.float64).tobytes())
        return {
            "encoder": type(self).__module__,
            "weights": card["sha256"],
            "settings": self.model_dump(mode="json"),
            "units": units.hexdigest(),
            "images": {
                section: [float(pairs.uns["mpp"][section]), sha256(images.present(raw / name))]
                for section, name in pairs.uns["images"].items()
                if (sections == section).any()
            },
            "timm": timm.__version__,
            "bfloat16": has_bfloat16(device()),
        }
