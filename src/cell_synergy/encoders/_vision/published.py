"""Published vision transformers, from the Hugging Face hub or a file: one block of params each."""

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
from cell_synergy.data.config import listed
from cell_synergy.encoders import sha256
from cell_synergy.encoders._vision import transformer
from cell_synergy.encoders._vision.features import Network
from cell_synergy.encoders._vision.image_expert import ImageExpert

Colours = Annotated[tuple[float, float, float], BeforeValidator(listed)]
"""Numbers for red, green and blue in one line, separated by commas."""


class Published(ImageExpert, ABC):
    """A frozen vision transformer that somebody published.

    Attributes
    ----------
    repo, file, revision
        Where its weights are on the hub; a branch is resolved to its commit by `freeze`.
    weights
        A file of the weights on this machine, taken instead.
    model, arguments
        Its name in timm, and the arguments that it is built with.
    pooling
        What the features are: the class token, or that and the mean of the patch tokens.
    width
        How many there are, per field of view.
    mean, std
        Of the colours (red, green, blue; 0 to 1) that the input is normalised with.
    resize
        How patches get the network's size.
    precision
        Of the arithmetic; bfloat16 keeps norms and residuals in float32, and is float32 on a device
        without it.
    """

    licence: ClassVar[str]
    """Of the weights. Neither they nor what they compute are redistributed."""

    repo: str
    file: str
    revision: str
    weights: Path | None = None
    model: str
    arguments: dict[str, JsonValue]
    pooling: transformer.Pooling
    width: PositiveInt
    mean: Colours
    std: Colours
    resize: Literal["bilinear", "bicubic"]
    precision: Literal["float32", "bfloat16"]

    def freeze(  # nothing is fitted
        self,
        reference: ad.AnnData,
        out: Path,
    ) -> dict[str, JsonValue]:
        """Find the weights, check that they fit, and say what they are."""
        network = transformer.build(self.model, self.arguments)
        self._require_width(network)
        path = self._local() or hub.fetch(self.repo, self.file, self.revision)
        transformer.load(network, path)
        fields = " and ".join(f"{um:g}" for um in self.fields_um)
        return {
            "encoder": type(self).__module__.rpartition(".")[2],
            "origin": path.name if self.weights else f"https://huggingface.co/{self.repo}",
            "state": "pretrained",
            "revision": "" if self.weights else hub.commit(path),
            "sha256": sha256(path),
            "parameters": sum(tensor.numel() for tensor in network.parameters()),
            "pooling": f"{self.pooling} at {fields} um",
            "dimension": self.width * len(self.fields_um),
            "precision": self.precision,
            "licence": self.licence,
            "redistribute": False,
        }

    def weights_file(self, card: Mapping[str, JsonValue]) -> Path:
        """Return the local file, or the hub's at the commit that the card names."""
        return self._local() or hub.fetch(self.repo, self.file, str(card["revision"]))

    def _local(self) -> Path | None:
        if self.weights is None:
            return None
        path = self.weights.expanduser()
        filetypes.required(path, "a file of weights", f"set `weights` to the file of {self.repo}")
        return path

    def network(self, weights: Path) -> Network:
        """Return the network with its weights, on the device."""
        network = transformer.build(self.model, self.arguments)
        transformer.load(network, weights)
        network.float()  # some are published in half precision
        if half := self.precision == "bfloat16" and transformer.has_bfloat16(device()):
            transformer.halve(network)
        network.to(device()).to(memory_format=torch.channels_last)

        @torch.inference_mode()
        def run(
            patches: UInt8[Tensor, "obs side side 3"],
        ) -> Float32[Tensor, "obs features"]:
            x = transformer.inputs(patches, self.input_px, self.resize, self.mean, self.std)
            with torch.autocast(device().type, torch.bfloat16, enabled=half):
                return transformer.features(network, x, self.pooling)

        return run

    def _require_width(self, network: VisionTransformer) -> None:
        """Run the network without numbers and compare."""
        x = torch.empty(1, 3, self.input_px, self.input_px, device="meta")
        try:
            found = transformer.features(network, x, self.pooling).shape[1]
        except (AssertionError, RuntimeError) as error:
            raise ConfigError(
                f"{self.model!r} takes no input of `input_px` {self.input_px}: {error}"
            ) from error
        if found != self.width:
            raise ConfigError(
                f"{self.model!r} has {found} features with pooling {self.pooling!r}; "
                f"set `width` to that, not {self.width}"
            )
