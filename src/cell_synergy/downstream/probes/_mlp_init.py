"""What the nonlinear probe starts from: principal axes, and directions that interact."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int
from torch import Tensor
from torch.nn.functional import embedding, pad

from cell_synergy.core.device import device
from cell_synergy.core.random import stream

_ROUNDING = 1e-6  # share of the largest variance below which an axis is rounding
_FLOOR = 1e-3  # share of the mean variance by which whitening spares axes that hardly vary
_TINY = 1e-30


def principal(
    block: Float32[np.ndarray, "obs _"], rows: Int[np.ndarray, " rows"], axes: int
) -> Float32[Tensor, "obs axes"]:
    """Turn units to the leading principal axes of some rows; one factor makes mean variance one.

    Axes keep their relative variances, so that AdamW learns from leading ones first.
    """
    x = tensor(block)
    known = take(x, rows).double()
    mean = known.mean(dim=0)
    known -= mean
    wide = known.shape[1] > known.shape[0]
    squares, vectors = torch.linalg.eigh(known @ known.T if wide else known.T @ known)
    most = squares[-1].clamp_min(_ROUNDING * len(rows))
    kept = torch.nonzero(squares > _ROUNDING * most)[-axes:, 0]
    squares, vectors = squares[kept], vectors[:, kept]
    if wide:
        vectors = known.T @ (vectors / squares.sqrt())
    vectors *= (len(rows) / squares.mean()).sqrt()
    turned: Tensor = (x - mean.float()) @ vectors.float()
    return turned


def interacting(
    parts: Sequence[Float32[Tensor, "rows _"]],
    contrasts: Float32[Tensor, "rows hidden"],
    random: Sequence[Float32[Tensor, "_ hidden"]],
    powers: int,
) -> list[Float32[Tensor, "_ hidden"]]:
    """Turn random weights to directions along which whitened features interact most.

    Power iteration with the matrix of mean contrast x feature x feature; of several parts, with its
    entries for features of different parts.
    """
    scales = [(part.var(dim=0, correction=0) + _FLOOR).sqrt() for part in parts]
    white = [(part - part.mean(dim=0)) / s for part, s in zip(parts, scales, strict=True)]
    ways = list(random)
    for _ in range(powers):
        seen = [x @ way for x, way in zip(white, ways, strict=True)]
        rest = [torch.stack(seen).sum(dim=0) - one if len(seen) > 1 else one for one in seen]
        turned = [x.T @ (contrasts * other) for x, other in zip(white, rest, strict=True)]
        ways = [way / (way.norm(dim=0) + _TINY) for way in turned]
    return [way / s[:, None] / len(ways) ** 0.5 for way, s in zip(ways, scales, strict=True)]


def stack(parts: Sequence[Float32[Tensor, "_ _"]], width: int) -> Float32[Tensor, "rows width"]:
    """Concatenate rows, filled up with zeros to one width."""
    return torch.cat([pad(p, (0, width - p.shape[1])) for p in parts])


def take(x: Float32[Tensor, "all d"], places: Tensor | np.ndarray) -> Tensor:
    """Return rows, in the shape of their places."""
    places = torch.as_tensor(places, device=device())
    return embedding(places, x)


def draw(seed: int, purpose: str, rows: int, columns: int) -> Float32[Tensor, "rows columns"]:
    """Return standard normal numbers of one purpose."""
    return tensor(stream(seed, "mlp", purpose).standard_normal((rows, columns)))


def tensor(array: np.ndarray) -> Float32[Tensor, "..."]:
    """Return an array on the device, in single precision."""
    return torch.from_numpy(array).to(device(), torch.float32)
