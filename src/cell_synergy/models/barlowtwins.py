"""Barlow Twins across modalities: make the projections' cross-correlation matrix the identity.

Zbontar et al. 2021, "Barlow Twins: Self-Supervised Learning via Redundancy Reduction" (ICML),
equations 1 and 2; authors' code facebookresearch/barlowtwins. `C` is the cross-correlation, over
the batch, of the two modalities' projections, each feature centred and divided by its population
standard deviation (batch norm, eps 1e-5). The loss is `sum (1 - C_ii)^2 + lambda sum C_ij^2`.

Departures: views are the two modalities' embeddings, each with its own encoder and projector;
projections are half as wide as `z3`, not four times as wide; AdamW with a cosine schedule as for
every method here, not LARS. The loss is not scaled further, as in the paper.
"""

from functools import partial
from typing import Annotated

from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import batch_norm

from cell_synergy.training.loop import Trained
from cell_synergy.training.losses import full_precision, off_diagonal
from cell_synergy.training.modules import Network, TwoTowerContrastive


class Model(Trained):
    """Barlow Twins with one two-layer encoder per modality.

    Attributes
    ----------
    hidden
        Number of hidden units of each encoder.
    width
        Dimension of the joint embedding, half of it per modality.
    redundancy
        Weight lambda of the off-diagonal terms.
    """

    hidden: PositiveInt
    width: Annotated[int, Field(gt=0, multiple_of=2)]
    redundancy: PositiveFloat

    def network(self, d1: int, d2: int) -> Network:
        pair_loss = partial(barlow_twins, redundancy=self.redundancy)
        return TwoTowerContrastive(d1, d2, self.hidden, self.width, pair_loss)


@full_precision
def barlow_twins(
    z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], redundancy: float
) -> Float[Tensor, ""]:
    """Return the weighted squared distance of the cross-correlation matrix from the identity.

    It is `sum (1 - C_ii)^2 + redundancy sum C_ij^2` over features i and j != i, where C is the
    cross-correlation of the features, standardised over the batch.

    Parameters
    ----------
    z1, z2
        Projections of the two modalities; row i of both is one observation.
    redundancy
        Weight lambda of the off-diagonal terms.
    """
    standardised = [batch_norm(z, None, None, training=True) for z in (z1, z2)]
    correlation = standardised[0].T @ standardised[1] / len(z1)
    invariance_term = (1 - correlation.diagonal()).square().sum()
    redundancy_term = off_diagonal(correlation, 0.0).square().sum()
    return invariance_term + redundancy * redundancy_term
