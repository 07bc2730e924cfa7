"""Objectives that several methods share."""

import functools
from collections.abc import Callable
from typing import TypeVar, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, normalize

_Loss = TypeVar("_Loss", bound=Callable[..., Tensor])


def full_precision(loss: _Loss) -> _Loss:
    """Decorate a loss so that it is computed in float32 or float64, also under autocast.

    Tensors of lower precision are converted to float32.
    """

    @functools.wraps(loss)
    def in_full_precision(first: Tensor, *others: Tensor | float, **settings: float) -> Tensor:
        with torch.autocast(first.device.type, enabled=False):
            return loss(*(_promoted(x) for x in (first, *others)), **settings)

    return cast("_Loss", in_full_precision)


def _promoted(x: Tensor | float) -> Tensor | float:
    return x.to(torch.promote_types(x.dtype, torch.float32)) if isinstance(x, Tensor) else x


def off_diagonal(square: Float[Tensor, "*many n n"], fill: float) -> Float[Tensor, "*many n n"]:
    """Return a copy of a square matrix, or of several, with its diagonal replaced by a constant.

    Parameters
    ----------
    square
        The matrix, or matrices in the last two axes; they are not changed.
    fill
        Value on the diagonal of the copy.
    """
    diagonal = torch.eye(square.shape[-1], dtype=torch.bool, device=square.device)
    return square.masked_fill(diagonal, fill)


@full_precision
def nt_xent(
    z1: Float[Tensor, "*losses n d"], z2: Float[Tensor, "*losses n d"], temperature: float
) -> Float[Tensor, ""]:
    """Return the mean normalised temperature-scaled cross entropy over 2N views, in nats.

    The positive of row i of `z1` is row i of `z2`, and conversely; the negatives are the other
    2N - 2 rows of both (Chen et al. 2020, equation 1). The softmax subtracts the maximum, without
    which float32 overflows at T = 0.01.

    Parameters
    ----------
    z1, z2
        Projections of the two views; row i of both is one observation. With further axes, several
        losses are computed at once, and their mean is returned.
    temperature
        Divisor T of the cosine similarities.
    """
    z = normalize(torch.cat([z1, z2], dim=-2), dim=-1)
    similarity = off_diagonal(z @ z.mT / temperature, float("-inf")).flatten(0, -2)
    positive = torch.arange(z.shape[-2], device=z.device).roll(z1.shape[-2])
    return cross_entropy(similarity, positive.repeat(len(similarity) // len(positive)))


@full_precision
def negative_cosine(p: Float[Tensor, "n d"], z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Return minus the cosine similarity of predictions and targets, averaged over rows.

    Parameters
    ----------
    p
        Predictions, one per row.
    z
        Target of each prediction; no gradient is propagated to it.
    """
    return -cosine_similarity(p, z.detach(), dim=1).mean()
