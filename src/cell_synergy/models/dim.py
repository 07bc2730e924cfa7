"""Deep InfoMax across modalities: a bound on the information that image and expression share.

Hjelm et al. 2019, "Learning deep representations by mutual information estimation and maximization"
(ICLR), equations 4 (Jensen-Shannon) and 5 (InfoNCE); authors' code rdevon/DIM at bac4765. The
critic scores an image against an expression by the dot product of their projections
(encode-and-dot-product), for all N x N pairs of a batch: a unit's own pair is a draw from the joint
distribution, all others are draws from the product of the marginals.

Departures: the two sides are the two modalities, not an image and its local features, so there are
neither local maps nor prior matching. InfoNCE picks the expression of an image and the image of an
expression, among the batch's N alone; the authors' code does one direction, and adds a candidate of
the fixed score -10. AdamW has the cosine schedule of every method here.
"""

from math import log
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from cell_synergy.training.loop import Trained
from cell_synergy.training.modules import Compared, Network, full_precision, off_diagonal


class Model(Trained):
    """`width` of the joint embedding, half of it per modality; `bound` on the information."""

    hidden: PositiveInt
    width: Annotated[int, Field(gt=0, multiple_of=2)]
    bound: Literal["jensen-shannon", "infonce"]

    def network(self, d1: int, d2: int) -> Network:
        compare = {"jensen-shannon": jensen_shannon, "infonce": infonce}[self.bound]
        return Compared(d1, d2, self.hidden, self.width, compare)


@full_precision
def jensen_shannon(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Return minus the Jensen-Shannon bound; both directions are the same scores."""
    scores = z1 @ z2.T
    n = len(scores)
    joint = softplus(-scores.diagonal()).mean()
    product = softplus(off_diagonal(scores, float("-inf"))).sum() / (n * (n - 1))
    return joint + product - 2 * log(2)


@full_precision
def infonce(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Return the InfoNCE loss, the mean of both directions."""
    scores = z1 @ z2.T
    return (identification(scores) + identification(scores.T)) / 2


def identification(scores: Float[Tensor, "n candidates"]) -> Float[Tensor, ""]:
    """Return the cross entropy of finding row i's partner, candidate i, among all candidates."""
    return cross_entropy(scores, torch.arange(len(scores), device=scores.device))
