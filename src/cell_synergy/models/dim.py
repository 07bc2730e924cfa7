"""Deep InfoMax across modalities: maximise a bound on the mutual information of the modalities.

Hjelm et al. 2019, "Learning deep representations by mutual information estimation and maximization"
(ICLR), equations 4 (Jensen-Shannon) and 5 (InfoNCE); authors' code rdevon/DIM at bac4765. The
critic scores an image against an expression by the dot product of their projections
(encode-and-dot-product), for all N x N pairs of a batch: the two modalities of one observation are
a draw from the joint distribution, those of different observations are draws from the product of
the marginals.

Departures: the two variables are the two modalities, not an image and its local features, so there
are neither local maps nor prior matching. InfoNCE classifies the expression of an image and the
image of an expression among the N of the batch; the authors' code has one direction, and an
additional candidate of fixed score -10. AdamW with a cosine schedule as for every method here.
"""

from math import log
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from cell_synergy.training.loop import Trained
from cell_synergy.training.losses import full_precision, off_diagonal
from cell_synergy.training.modules import Network, TwoTowerContrastive


class Model(Trained):
    """Deep InfoMax with one two-layer encoder per modality.

    Attributes
    ----------
    hidden
        Number of hidden units of each encoder.
    width
        Dimension of the joint embedding, half of it per modality.
    bound
        Estimator of mutual information, Jensen-Shannon or InfoNCE.
    """

    hidden: PositiveInt
    width: Annotated[int, Field(gt=0, multiple_of=2)]
    bound: Literal["jensen-shannon", "infonce"]

    def network(self, d1: int, d2: int) -> Network:
        pair_loss = {"jensen-shannon": jensen_shannon, "infonce": infonce}[self.bound]
        return TwoTowerContrastive(d1, d2, self.hidden, self.width, pair_loss)


@full_precision
def jensen_shannon(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Return minus the sum of the Jensen-Shannon estimate (equation 4) and 2 log 2, in nats.

    It is 0 if the scores of all pairs are 0.

    Parameters
    ----------
    z1, z2
        Projections of the two modalities; row i of both is one observation.
    """
    scores = z1 @ z2.T
    n = len(scores)
    joint = softplus(-scores.diagonal()).mean()
    product = softplus(off_diagonal(scores, float("-inf"))).sum() / (n * (n - 1))
    return joint + product - 2 * log(2)


@full_precision
def infonce(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Return the InfoNCE loss (equation 5) in nats, averaged over both directions.

    Each image is matched with the expressions of the batch, and each expression with its images.

    Parameters
    ----------
    z1, z2
        Projections of the two modalities; row i of both is one observation.
    """
    scores = z1 @ z2.T
    return (candidate_cross_entropy(scores) + candidate_cross_entropy(scores.T)) / 2


def candidate_cross_entropy(scores: Float[Tensor, "n candidates"]) -> Float[Tensor, ""]:
    """Return the mean cross entropy, in nats, of classifying candidate i as the partner of row i.

    `scores` are the logits of all candidates for each row.
    """
    return cross_entropy(scores, torch.arange(len(scores), device=scores.device))
