"""CoMM products: CoMM's image-only and expression-only embeddings, and their products.

The training is that of `comm`, with its hyperparameters and, for equal seeds, its weights. Masking
the tokens of one modality gives the embedding of the other alone; `z3` is both, each feature
standardised by the training pairs, and their products by elements, instead of the fused embedding.
The difference to `comm` is one of the readout alone.

Departures from CoMM: those of `comm`; the authors probe the fused embedding.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cell_synergy.data.embeddings import moments
from cell_synergy.models import comm
from cell_synergy.training.method import Pairs, Weights
from cell_synergy.training.modules import Inputs, Network


class Model(comm.Model):
    """CoMM with products; `z3` has 3 `width` features."""

    def network(self, d1: int, d2: int) -> Network:
        return _CoMMProducts(d1, d2, self)

    def postprocess(self, weights: Weights, pairs: Pairs) -> Weights:
        """Return the weights with mean and scale of each side's features on the training pairs."""
        joint = self.transform(weights, pairs.image, pairs.expression)
        mean, scale = moments(joint[:, : 2 * self.width])
        return weights | {"mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}


class _CoMMProducts(comm.CoMM):
    mean: Tensor
    scale: Tensor

    def __init__(self, d1: int, d2: int, model: comm.Model) -> None:
        super().__init__(d1, d2, model)
        self.register_buffer("mean", torch.zeros(2 * model.width))
        self.register_buffer("scale", torch.ones(2 * model.width))

    def joint(self, inputs: Inputs) -> Float[Tensor, "obs d3"]:
        sides = torch.cat([*self.fuse(inputs, [(True, False), (False, True)])], dim=1)
        standardised = (sides - self.mean) * self.scale
        first, second = standardised.chunk(2, dim=1)
        return torch.cat([standardised, first * second], dim=1)
