"""Soft CCA across modalities: equal projections whose features do not correlate.

Chang et al. 2018, "Scalable and Effective Deep CCA via Soft Decorrelation" (CVPR, arXiv
1707.09669): a penalty on the correlations between the features of a modality replaces the exact
decorrelation of deep CCA. With z1, z2 the projections of a batch, each feature standardised over
the batch, and C1, C2 their covariances, the loss is
`mean (z1 - z2)^2 + lambda (mean |off-diagonal C1| + mean |off-diagonal C2|)`.

Departures: the covariances are those of the batch, not a running average; both terms are means over
entries, not sums, so that lambda does not depend on the width; `z3` is the output of the encoders,
before the projectors. No authors' code was compared.
"""

from collections.abc import Sequence
from typing import Annotated

from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import batch_norm, mse_loss

from cell_synergy.training.loop import Trained
from cell_synergy.training.losses import full_precision, off_diagonal
from cell_synergy.training.modules import Inputs, Network, TwoTowerProjector


class Model(Trained):
    """Hyperparameters: the keys of the method's block in params.yaml, none with a default.

    Attributes
    ----------
    hidden
        Width of the encoders' hidden layer.
    width
        Width of the joint embedding, half of it per modality; at least 4, since a projection of one
        feature has no correlation to penalise.
    decorrelation
        Weight lambda of the correlations between features.
    """

    hidden: PositiveInt
    width: Annotated[int, Field(gt=2, multiple_of=2)]
    decorrelation: PositiveFloat

    def network(self, d1: int, d2: int) -> Network:
        return _SoftCCA(d1, d2, self)


class _SoftCCA(TwoTowerProjector):
    def __init__(self, d1: int, d2: int, model: Model) -> None:
        super().__init__(d1, d2, model.hidden, model.width)
        self.decorrelation = model.decorrelation

    def loss(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        z1, z2 = self.project(views[0])
        return soft_cca(z1, z2, self.decorrelation)


@full_precision
def soft_cca(
    z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], decorrelation: float
) -> Float[Tensor, ""]:
    """Return the loss of Soft CCA on one batch.

    It is the mean over entries of (z1 - z2)^2, each feature standardised over the batch, plus
    lambda times the sum over both modalities of the mean absolute off-diagonal covariance.

    Parameters
    ----------
    z1, z2
        Projections of the two modalities, two features or more; row i of both is one observation.
    decorrelation
        Weight lambda of the covariances.
    """
    z1, z2 = (batch_norm(z, None, None, training=True) for z in (z1, z2))
    return mse_loss(z1, z2) + decorrelation * (_correlation(z1) + _correlation(z2))


def _correlation(z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Return the mean absolute covariance of two different features of a standardised batch."""
    n_obs, d = z.shape
    return off_diagonal(z.T @ z / n_obs, 0.0).abs().sum() / (d * (d - 1))
