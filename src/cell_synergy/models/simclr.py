"""SimCLR across modalities: each unit's image and expression attract, all other units repel.

Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations" (ICML),
equation 1; authors' code google-research/simclr at 383d414. The two views of a unit are its two
modalities, as in CLIP, each with its own encoder and projector.

Departures: views are embeddings (Gaussian noise and feature dropout instead of image augmentation);
AdamW with a cosine schedule as for every method here, not LARS.
"""

from typing import Annotated

from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, cat, nn

from cell_synergy.finetuning.training import Inputs, Network, Trained
from cell_synergy.networks import mlp, nt_xent


class Model(Trained):
    """`width` of the joint embedding, half of it per modality; `temperature` of the loss."""

    hidden: PositiveInt
    width: Annotated[int, Field(gt=0, multiple_of=2)]
    temperature: PositiveFloat

    def network(self, d1: int, d2: int) -> Network:
        return _SimCLR(d1, d2, self)


class _SimCLR(Network):
    def __init__(self, d1: int, d2: int, model: Model) -> None:
        super().__init__()
        half = model.width // 2
        self.encoders = nn.ModuleList([mlp(d, model.hidden, half) for d in (d1, d2)])
        self.projectors = nn.ModuleList([mlp(half, half, half) for _ in range(2)])
        self.temperature = model.temperature

    def encode(self, inputs: Inputs) -> list[Float[Tensor, "units half"]]:
        return [f(x) for f, x in zip(self.encoders, inputs, strict=True)]

    def loss(self, views: tuple[Inputs, Inputs]) -> Float[Tensor, ""]:
        encoded = self.encode(views[0])
        z1, z2 = (g(h) for g, h in zip(self.projectors, encoded, strict=True))
        return nt_xent(z1, z2, self.temperature)

    def joint(self, inputs: Inputs) -> Float[Tensor, "units width"]:
        return cat(self.encode(inputs), dim=1)
