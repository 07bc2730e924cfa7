"""SimSiam across modalities: predict the other modality's projection, with a stop-gradient.

Chen and He 2021, "Exploring Simple Siamese Representation Learning" (CVPR), equations 1-4; authors'
code facebookresearch/simsiam at a7bc177. With projections z and predictions p the loss is
`-1/2 [cos(p1, sg z2) + cos(p2, sg z1)]`; the stop-gradient sg prevents a collapse to a constant.

Departures: views are the two modalities' embeddings, each with its own encoder, projector and
predictor (hidden layer a quarter as wide, as the authors'); projectors have two layers and no batch
norm on their output; AdamW with a cosine schedule as for every method here, not SGD.
"""

from collections.abc import Sequence
from typing import Annotated

from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from cell_synergy.training.loop import Trained
from cell_synergy.training.losses import negative_cosine
from cell_synergy.training.modules import Inputs, Network, TwoTowerProjector, mlp


class Model(Trained):
    """SimSiam with one two-layer encoder per modality.

    Attributes
    ----------
    hidden
        Number of hidden units of each encoder.
    width
        Dimension of the joint embedding, half of it per modality.
    """

    hidden: PositiveInt
    width: Annotated[int, Field(gt=0, multiple_of=8)]

    def network(self, d1: int, d2: int) -> Network:
        return _SimSiam(d1, d2, self.hidden, self.width)


class _SimSiam(TwoTowerProjector):
    def __init__(self, d1: int, d2: int, hidden: int, width: int) -> None:
        super().__init__(d1, d2, hidden, width)
        half = width // 2
        self.predictors = nn.ModuleList([mlp(half, half // 4, half) for _ in range(2)])

    def loss(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        z1, z2 = self.project(views[0])
        p1, p2 = (predictor(z) for predictor, z in zip(self.predictors, (z1, z2), strict=True))
        return simsiam(p1, p2, z1, z2)


def simsiam(
    p1: Float[Tensor, "n d"],
    p2: Float[Tensor, "n d"],
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
) -> Float[Tensor, ""]:
    """Return minus the cosine similarity of predictions and targets, averaged over both directions.

    The targets of `p1` are `z2`, those of `p2` are `z1`.

    Parameters
    ----------
    p1, p2
        Predictions from image and from expression.
    z1, z2
        Projections of image and of expression; no gradient is propagated to them. Row i of all four
        is one observation.
    """
    return (negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2
