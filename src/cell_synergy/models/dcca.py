"""DCCA: one network per modality, trained to maximise the canonical correlations of the outputs.

Andrew et al. 2013, "Deep Canonical Correlation Analysis" (ICML), section 3, equation 10: maximise
the trace norm, the sum of singular values, of `T = C11^-1/2 C12 C22^-1/2`, where the covariances
are those of the networks' outputs, each with a ridge. After training, a linear CCA of the outputs
gives `z3`. The authors published no repository; values and gradients are tested against cca-zoo
4.0.1 (jameschapman19/cca_zoo) and a closed form.

Departures: large batches (Wang et al. 2015) and AdamW, not L-BFGS on all rows; ReLU and batch norm,
no pretraining; the square roots are Cholesky factors, whose gradient needs no eigenvalues and is
finite for equal eigenvalues. The loss divides each output by its standard deviation in the batch,
which makes the ridge a share of the variance, so that larger outputs do not reduce its effect.
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
from cell_synergy.training.losses import full_precision
from cell_synergy.training.method import Pairs, Weights
from cell_synergy.training.modules import Inputs, Network, TwoTower


class Model(Trained):
    """DCCA with one two-layer encoder per modality.

    Attributes
    ----------
    hidden
        Number of hidden units of each encoder.
    width
        Dimension of the joint embedding, half of it per modality.
    ridge
        Constant added to each variance of the encoders' outputs: in the loss a share of this
        variance, in the linear CCA a share of the modality's mean variance.
    batch_size
        Number of pairs per step that covariances are estimated from; all pairs if there are fewer.
    """

    hidden: PositiveInt
    width: Annotated[int, Field(gt=0, multiple_of=2)]
    ridge: PositiveFloat
    batch_size: PositiveInt

    def network(self, d1: int, d2: int) -> Network:
        return _DCCA(d1, d2, self)

    def pairs_per_step(self, training: TrainingConfig, n_obs: int) -> int:
        super().pairs_per_step(training, n_obs)
        return min(self.batch_size, n_obs)

    def postprocess(self, weights: Weights, pairs: Pairs) -> Weights:
        """Multiply the last, linear layer of each encoder by the directions of a linear CCA.

        The CCA is fitted to the encoders' outputs on the training pairs; the joint embedding then
        consists of the canonical variates.

        Raises
        ------
        DataError
            If no output of an encoder varies, or the ridge is too small for the CCA.
        """
        joint = self.transform(weights, pairs.image, pairs.expression)
        image, expression = np.split(joint, 2, axis=1)
        solution = solve(covariances(image, expression), self.ridge)
        composed = dict(weights)
        for modality, directions in enumerate((solution.image, solution.expression)):
            for name in (f"encoders.{modality}.3.weight", f"encoders.{modality}.3.bias"):
                composed[name] = (directions.T @ weights[name]).astype(np.float32)
        return composed


class _DCCA(TwoTower):
    def __init__(self, d1: int, d2: int, model: Model) -> None:
        super().__init__(d1, d2, model.hidden, model.width)
        self.ridge = model.ridge

    def loss(self, views: Sequence[Inputs]) -> Float[Tensor, ""]:
        z1, z2 = self.encode(views[0])
        return dcca(z1, z2, self.ridge)


@full_precision
def dcca(z1: Float[Tensor, "n d1"], z2: Float[Tensor, "n d2"], ridge: float) -> Float[Tensor, ""]:
    """Return minus the sum of the canonical correlations (with ridge) of two networks' outputs.

    Outputs are standardised over the batch; the result is between minus `min(d1, d2)` and 0.

    Parameters
    ----------
    z1, z2
        Outputs of the two networks; row i of both is one observation.
    ridge
        Constant added to each variance; variances are about 1 after standardisation.
    """
    z1, z2 = (batch_norm(z, None, None, training=True) for z in (z1, z2))
    correlations: Tensor = svdvals(whitened_cross_covariance(z1, z2, ridge))
    return -correlations.sum()


def whitened_cross_covariance(
    z1: Float[Tensor, "n d1"], z2: Float[Tensor, "n d2"], ridge: float
) -> Float[Tensor, "d2 d1"]:
    """Return the cross-covariance of the whitened outputs: features of z2 x features of z1.

    Its singular values are the canonical correlations with ridge. Covariances have the denominator
    n - 1, as in the paper.

    Parameters
    ----------
    z1, z2
        Outputs of the two networks; row i of both is one observation.
    ridge
        Constant added to every variance before whitening.
    """
    z1, z2 = z1 - z1.mean(dim=0), z2 - z2.mean(dim=0)
    l1, l2 = (cholesky(_covariance(z, z) + ridge * _eye(z)) for z in (z1, z2))
    left_whitened = solve_triangular(l1, _covariance(z1, z2), upper=False)
    whitened: Tensor = solve_triangular(l2, left_whitened.T, upper=False)
    return whitened


def _covariance(z1: Float[Tensor, "n d1"], z2: Float[Tensor, "n d2"]) -> Float[Tensor, "d1 d2"]:
    return z1.T @ z2 / (len(z1) - 1)


def _eye(z: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    return torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
