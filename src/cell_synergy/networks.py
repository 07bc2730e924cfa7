"""Building blocks that two methods share."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return one hidden layer with batch norm and ReLU."""
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )


def nt_xent(
    z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], temperature: float
) -> Float[Tensor, ""]:
    """Return the normalised temperature-scaled cross entropy over 2N views.

    Each row of `z1` has its partner in `z2` as positive and all other 2N - 2 rows of both as
    negatives (Chen et al. 2020, equation 1). `log_softmax` subtracts the maximum, without which
    float32 overflows at T = 0.01.
    """
    z = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
    similarity = z @ z.T / temperature
    similarity = similarity.masked_fill(
        torch.eye(len(z), dtype=torch.bool, device=z.device), float("-inf")
    )
    partner = torch.arange(len(z), device=z.device).roll(len(z1))
    return torch.nn.functional.cross_entropy(similarity, partner)
