"""VICReg across modalities: close projections with varying, uncorrelated features.

Bardes et al. 2022, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised
Learning" (ICLR), equations 1-6; authors' code facebookresearch/vicreg. Invariance is the mean
squared difference; variance is a hinge loss that keeps the standard deviation of each feature above
1 (eps 1e-4); covariance is the sum of squared off-diagonal covariances, divided by the number of
features.

Where paper and code differ, this file follows the code: the variance terms of the two views are
averaged, the paper sums them.

Departures: views are the two modalities' embeddings, each with its own encoder and projector;
projections are half as wide as `z3`, not four times as wide; AdamW with a cosine schedule as for
every method here, not LARS.
"""

from functools import partial
from typing import Annotated

from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import mse_loss

from cell_synergy.training.loop import Trained
from cell_synergy.training.losses import full_precision, off_diagonal
from cell_synergy.training.modules import Network, TwoTowerContrastive


class Model(Trained):
    """VICReg with one two-layer encoder per modality.

    Attributes
    ----------
    hidden
        Number of hidden units of each encoder.
    width
        Dimension of the joint embedding, half of it per modality.
    invariance, variance, covariance
        Weights of the three terms of the loss.
    """

    hidden: PositiveInt
    width: Annotated[int, Field(gt=0, multiple_of=2)]
    invariance: PositiveFloat
    variance: PositiveFloat
    covariance: PositiveFloat

    def network(self, d1: int, d2: int) -> Network:
        weights = self.model_dump(include={"invariance", "variance", "covariance"})
        pair_loss = partial(vicreg, **weights)
        return TwoTowerContrastive(d1, d2, self.hidden, self.width, pair_loss)


@full_precision
def vicreg(
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    invariance: float,
    variance: float,
    covariance: float,
) -> Float[Tensor, ""]:
    """Return the loss of VICReg: the weighted sum of its invariance, variance and covariance terms.

    The variance term is averaged over the two modalities, the covariance term is summed over them.

    Parameters
    ----------
    z1, z2
        Projections of the two modalities; row i of both is one observation.
    invariance, variance, covariance
        Weights of the three terms.
    """
    variance_term = (_variance_hinge(z1) + _variance_hinge(z2)) / 2
    covariance_term = _covariance_penalty(z1) + _covariance_penalty(z2)
    return invariance * mse_loss(z1, z2) + variance * variance_term + covariance * covariance_term


def _variance_hinge(z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Return the mean over features of the hinge loss of the standard deviation, with margin 1."""
    return (1 - (z.var(dim=0) + 1e-4).sqrt()).relu().mean()


def _covariance_penalty(z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Return the sum of squared off-diagonal covariances, divided by the number of features."""
    centred = z - z.mean(dim=0)
    covariances = centred.T @ centred / (len(z) - 1)
    return off_diagonal(covariances, 0.0).square().sum() / z.shape[1]
