"""BYOL across modalities: predict the other modality's projection by an averaged target network.

Grill et al. 2020, "Bootstrap Your Own Latent" (NeurIPS), equations 1 and 2, section 3; authors'
code google-deepmind/deepmind-research, folder byol. The target network is a copy of encoders and
projectors that receives no gradient: after step k of K it is `tau target + (1 - tau) online`, where
`tau = 1 - (1 - tau_base) (cos(pi k / K) + 1) / 2` rises to 1. The prediction q from the image is
compared with the target's projection z of the expression, and conversely; the loss is the sum of
both `2 - 2 cos(q, sg z)`. Batch norm in the target has statistics of its own, as in the authors'
code. `z3` concatenates the outputs of the online encoders, the representation that the paper
evaluates.

Departures: views are the two modalities' embeddings, each with its own encoder, projector and
predictor; the target is initialised with the weights of the online network, in the authors' code
with other random weights (they saw no difference); AdamW with a cosine schedule as for every method
here, not LARS.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from math import cos, pi
from typing import Annotated

from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from cell_synergy.training.loop import Trained
from cell_synergy.training.losses import negative_cosine
from cell_synergy.training.modules import Inputs, Network, TwoTowerProjector, mlp, update_target


class Model(Trained):
    """BYOL with one two-layer encoder per modality.

    Attributes
    ----------
    hidden
        Number of hidden units of each encoder.
    width
        Dimension of the joint embedding, half of it per modality.
    tau_base
        Initial decay rate of the target network.
    """

    hidden: PositiveInt
    width: Annotated[int, Field(gt=0, multiple_of=2)]
    tau_base: Annotated[float, Field(gt=0, lt=1)]

    def network(self, d1: int, d2: int) -> Network:
        return _BYOL(d1, d2, self)


class _BYOL(TwoTowerProjector):
    def __init__(self, d1: int, d2: int, model: Model) -> None:
        super().__init__(d1, d2, model.hidden, model.width)
        self.tau_base = model.tau_base
        self.target = deepcopy(self).requires_grad_(False)
        half = model.width // 2
        self.predictors = nn.ModuleList([mlp(half, half, half) for _ in range(2)])

    def loss(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        online, (z1, z2) = self.project(views[0]), self.target.project(views[0])
        p1, p2 = (predictor(z) for predictor, z in zip(self.predictors, online, strict=True))
        return byol(p1, z2) + byol(p2, z1)

    def after_step(
        self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], progress: float
    ) -> None:
        tau = 1 - (1 - self.tau_base) * (cos(pi * progress) + 1) / 2
        update_target(params, buffers, tau)


def byol(p: Float[Tensor, "n d"], z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Return the squared distance of predictions and targets scaled to length 1, mean over rows.

    The distance of one row is `2 - 2 cos(p, z)`.

    Parameters
    ----------
    p
        Predictions, one per row.
    z
        Targets, one per row; no gradient is propagated to them.
    """
    return 2 + 2 * negative_cosine(p, z)
