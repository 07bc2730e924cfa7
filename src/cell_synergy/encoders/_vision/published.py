"""Vision transformers with published weights, from the Hugging Face hub or a local file."""

from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import anndata as ad
import torch
from jaxtyping import Float32, UInt8
from pydantic import BeforeValidator, JsonValue, PositiveInt
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from cell_synergy.core import filetypes, hub
from cell_synergy.core.device import device
from cell_synergy.core.errors import ConfigError
from cell_synergy.data.naming import listed
from cell_synergy.encoders import sha256
from cell_synergy.encoders._vision import transformer
from cell_synergy.encoders._vision.features import Network
from cell_synergy.encoders._vision.image_expert import ImageExpert

RGBValues = Annotated[tuple[float, float, float], BeforeValidator(listed)]
"""A list of the values for red, green and blue."""


class PublishedTransformer(ImageExpert, ABC):
    """A vision transformer with published weights, frozen.

    Attributes
    ----------
    repo, file, revision
        Repository on the hub, path of the weights in it, and commit, tag or branch; the card from
        `freeze` has the commit.
    weights
        Local file of the weights, used instead of the file on the hub.
    model, arguments
        Name of the model in timm, and keyword arguments of its constructor.
    pooling
        Features: `token` is the class token; `token+mean` appends the mean of the patch tokens.
    width
        Number of features per field of view.
    mean, std
        Mean and standard deviation of red, green and blue (0 to 1) that normalise the input.
    resize
        Interpolation by which patches are resized to the network's input.
    precision
        Precision of the arithmetic. With bfloat16, norms and residuals are in float32; a device
        without bfloat16 uses float32 throughout.
    """

    card_keys: ClassVar[tuple[str, ...]] = ("dimension", "revision")

    licence: ClassVar[str]
    """Licence of the weights. Neither the weights nor the embeddings are redistributed."""

    repo: str
    file: str
    revision: str
    weights: Path | None = None
    model: str
    arguments: dict[str, JsonValue]
    pooling: transformer.Pooling
    width: PositiveInt
    mean: RGBValues
    std: RGBValues
    resize: Literal["bilinear", "bicubic"]
    precision: Literal["float32", "bfloat16"]

    def freeze(
        self,
        reference: ad.AnnData,
        out: Path,
    ) -> dict[str, JsonValue]:
        """Locate the weights, check that they fit the network, and return the card.

        Parameters
        ----------
        reference, out
            Not used, since nothing is fitted.

        Returns
        -------
        The content of the card; `revision` is the commit of the weights on the hub, "" for a local
        file.

        Raises
        ------
        ConfigError
            If timm cannot build the network, `width` is not its number of features, or `repo` is
            not a valid name.
        DataError
            If the weights cannot be downloaded or read, or do not match the network.
        """
        network = transformer.build(self.model, self.arguments)
        self._require_width(network)
        path = self._local_file() or hub.fetch(self.repo, self.file, self.revision)
        transformer.load(network, path)
        fields = " and ".join(f"{um:g}" for um in self.fields_um)
        return {
            "encoder": type(self).__module__.rpartition(".")[2],
            "origin": path.name if self.weights else f"https://huggingface.co/{self.repo}",
            "state": "pretrained",
            "revision": "" if self.weights else hub.commit_of(path),
            "sha256": sha256(path),
            "parameters": sum(tensor.numel() for tensor in network.parameters()),
            "pooling": f"{self.pooling} at {fields} um",
            "dimension": self.width * len(self.fields_um),
            "precision": self.precision,
            "licence": self.licence,
            "redistribute": False,
        }

    def weights_file(self, card: Mapping[str, JsonValue]) -> Path:
        """Return the local file of the weights, or that of the hub at the commit in the card.

        Raises
        ------
        ConfigError
            If `repo` is not a valid name.
        DataError
            If the local file cannot be read, or the hub's cannot be downloaded.
        """
        return self._local_file() or hub.fetch(self.repo, self.file, str(card["revision"]))

    def _local_file(self) -> Path | None:
        if self.weights is None:
            return None
        path = self.weights.expanduser()
        filetypes.require_readable(
            path, "a file of weights", f"set `weights` to the file of {self.repo}"
        )
        return path

    def network(self, weights: Path) -> Network:
        """Return the network with its weights on the device, as a function of 8-bit patches.

        Raises
        ------
        ConfigError
            If timm cannot build the network.
        DataError
            If the weights cannot be read or do not match the network.
        """
        network = transformer.build(self.model, self.arguments)
        transformer.load(network, weights)
        network.float()  # some weights are published in half precision
        use_bfloat16 = self.precision == "bfloat16" and transformer.has_bfloat16(device())
        if use_bfloat16:
            transformer.to_bfloat16(network)
        network.to(device()).to(memory_format=torch.channels_last)

        @torch.inference_mode()
        def run(
            patches: UInt8[Tensor, "obs side side 3"],
        ) -> Float32[Tensor, "obs features"]:
            x = transformer.inputs(patches, self.input_px, self.resize, self.mean, self.std)
            with torch.autocast(device().type, torch.bfloat16, enabled=use_bfloat16):
                return transformer.features(network, x, self.pooling)

        return run

    def _require_width(self, network: VisionTransformer) -> None:
        """Refuse a network whose number of features is not `width`; only shapes are computed."""
        x = torch.empty(1, 3, self.input_px, self.input_px, device="meta")
        try:
            width = transformer.features(network, x, self.pooling).shape[1]
        except (AssertionError, RuntimeError) as error:
            raise ConfigError(
                f"{self.model!r} takes no input of `input_px` {self.input_px}: {error}"
            ) from error
        if width != self.width:
            raise ConfigError(
                f"{self.model!r} has {width} features with pooling {self.pooling!r}; "
                f"set `width` to that, not {self.width}"
            )
