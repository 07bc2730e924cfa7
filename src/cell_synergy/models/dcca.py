"""DCCA: one network per modality, so that their outputs are as correlated as CCA can make them.

Andrew et al. 2013, "Deep Canonical Correlation Analysis" (ICML), section 3, equation 10: maximise
the trace norm, the sum of singular values, of `T = C11^-1/2 C12 C22^-1/2`, where the covariances
are those of the networks' outputs, each with a ridge. Once the networks are trained, a linear CCA
of their outputs gives `z3`. The authors published no repository; values and gradients are checked
against cca-zoo 4.0.1 (jameschapman19/cca_zoo) and a closed form.

Departures: large batches (Wang et al. 2015) and AdamW, not L-BFGS on all rows; ReLU and batch norm,
no pretraining; the square roots are Cholesky factors, whose gradient needs no eigenvalues and is
finite where some coincide. The loss sees each output divided by its standard deviation in the
batch: the ridge is a share of the variance, and growing outputs do not escape it.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor
from torch.linalg import cholesky, solve_triangular, svdvals
from torch.nn.functional import batch_norm

from cell_synergy.training.cca import covariances, solve
from cell_synergy.training.loop import Trained, TrainingConfig
from cell_synergy.training.method import Pairs, Weights
from cell_synergy.training.modules import Inputs, Network, Towers, full_precision


class Model(Trained):
    """`width` of the joint embedding, half of it per modality.

    `ridge` is a share of the variances of the networks' outputs, in the loss and in the linear CCA;
    `batch_size` pairs per step, or all there are, make the covariances of one step.
    """

    hidden: PositiveInt
    width: Annotated[int, Field(gt=0, multiple_of=2)]
    ridge: PositiveFloat
    batch_size: PositiveInt

    def network(self, d1: int, d2: int) -> Network:
        return _DCCA(d1, d2, self)

    def batch(self, training: TrainingConfig, rows: int) -> int:
        super().batch(training, rows)
        return min(self.batch_size, rows)

    def finish(self, weights: Weights, pairs: Pairs) -> Weights:
        """Compose the encoders' last, linear layers with a linear CCA of the training rows."""
        joint = self.transform(weights, pairs.image, pairs.expression)
        image, expression = np.split(joint, 2, axis=1)
        found = solve(covariances(image, expression), self.ridge)
        composed = dict(weights)
        for side, directions in enumerate((found.image, found.expression)):
            for name in (f"encoders.{side}.3.weight", f"encoders.{side}.3.bias"):
                composed[name] = (directions.T @ weights[name]).astype(np.float32)
        return composed


class _DCCA(Towers):
    def __init__(self, d1: int, d2: int, model: Model) -> None:
        super().__init__(d1, d2, model.hidden, model.width)
        self.ridge = model.ridge

    def loss(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        z1, z2 = self.encode(views[0])
        return dcca(z1, z2, self.ridge)


@full_precision
def dcca(z1: Float[Tensor, "n d1"], z2: Float[Tensor, "n d2"], ridge: float) -> Float[Tensor, ""]:
    """Return minus the trace norm, between minus `min(d1, d2)` and 0, of outputs of variance 1."""
    z1, z2 = (batch_norm(z, None, None, training=True) for z in (z1, z2))
    correlations: Tensor = svdvals(whitened(z1, z2, ridge))
    return -correlations.sum()


def whitened(
    z1: Float[Tensor, "n d1"], z2: Float[Tensor, "n d2"], ridge: float
) -> Float[Tensor, "d2 d1"]:
    """Return the cross-covariance of outputs after each was whitened.

    Its singular values are the canonical correlations, with `ridge` added to every variance.
    Covariances have n - 1 in their denominator, as in the paper.
    """
    z1, z2 = z1 - z1.mean(dim=0), z2 - z2.mean(dim=0)
    l1, l2 = (cholesky(_covariance(z, z) + ridge * _eye(z)) for z in (z1, z2))
    half = solve_triangular(l1, _covariance(z1, z2), upper=False)
    whole: Tensor = solve_triangular(l2, half.T, upper=False)
    return whole


def _covariance(z1: Float[Tensor, "n d1"], z2: Float[Tensor, "n d2"]) -> Float[Tensor, "d1 d2"]:
    return z1.T @ z2 / (len(z1) - 1)


def _eye(z: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    return torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
