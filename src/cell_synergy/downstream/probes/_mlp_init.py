"""Initialisation of the nonlinear probe: principal components and interaction directions."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int
from torch import Tensor
from torch.nn.functional import embedding, pad

from cell_synergy.core.device import device
from cell_synergy.core.random import stream

_ROUNDING = 1e-6  # share of the largest variance; a smaller variance is a rounding error
_FLOOR = 1e-3  # variance added before whitening, so that axes that hardly vary are not inflated
_TINY = 1e-30  # avoids a division by zero


def principal_components(
    block: Float32[np.ndarray, "obs d"], rows: Int[np.ndarray, " rows"], axes: int
) -> tuple[Float32[Tensor, "obs _"], Float32[Tensor, "d _"]]:
    """Project all observations on the leading principal axes of some rows.

    All scores share one scale factor, so that their variances over `rows` have mean one and keep
    their ratios: AdamW learns from leading components first.

    Parameters
    ----------
    block
        Features of all observations.
    rows
        Rows that mean and axes are computed from.
    axes
        Maximal number of axes.

    Returns
    -------
    :
        Scores, one row per observation, in ascending order of variance: at most `axes` columns,
        fewer if other axes vary by rounding only; and the axes, orthonormal columns whose signs,
        and rotation among equal variances, are arbitrary.
    """
    x = tensor(block)
    centred = gather_rows(x, rows).double()
    mean = centred.mean(dim=0)
    centred -= mean
    wide = centred.shape[1] > centred.shape[0]
    gram = centred @ centred.T if wide else centred.T @ centred
    eigenvalues, vectors = torch.linalg.eigh(gram)
    largest = eigenvalues[-1].clamp_min(_ROUNDING * len(rows))
    leading = torch.nonzero(eigenvalues > _ROUNDING * largest)[-axes:, 0]
    eigenvalues, vectors = eigenvalues[leading], vectors[:, leading]
    if wide:
        vectors = centred.T @ (vectors / eigenvalues.sqrt())
    scale = (len(rows) / eigenvalues.mean()).sqrt()
    components: Tensor = (x - mean.float()) @ (scale * vectors).float()
    return components, vectors.float()


def interaction_directions(
    blocks: Sequence[Float32[Tensor, "rows _"]],
    contrasts: Float32[Tensor, "rows hidden"],
    random: Sequence[Float32[Tensor, "_ hidden"]],
    powers: int,
) -> list[Float32[Tensor, "_ hidden"]]:
    """Return the directions along which products of features covary most with the target.

    Each direction is computed by power iteration with a matrix over pairs of features: the mean
    over rows of contrast x feature x feature, with features scaled to about variance one. With
    several blocks, pairs of features of one block are left out.

    Parameters
    ----------
    blocks
        Features of the training rows.
    contrasts
        Standardised linear combination of the targets for each direction.
    random
        Initial directions of each block, one per column.
    powers
        Number of power iterations.

    Returns
    -------
    :
        Directions of each block, one per column, in the coordinates of the unscaled features.
    """
    scales = [(block.var(dim=0, correction=0) + _FLOOR).sqrt() for block in blocks]
    white = [(block - block.mean(dim=0)) / s for block, s in zip(blocks, scales, strict=True)]
    directions = list(random)
    for _ in range(powers):
        projected = [x @ direction for x, direction in zip(white, directions, strict=True)]
        if len(projected) > 1:
            total = torch.stack(projected).sum(dim=0)
            partners = [total - projection for projection in projected]
        else:
            partners = projected
        products = [x.T @ (contrasts * partner) for x, partner in zip(white, partners, strict=True)]
        directions = [product / (product.norm(dim=0) + _TINY) for product in products]
    count = len(directions)
    return [d / s[:, None] / count**0.5 for d, s in zip(directions, scales, strict=True)]


def pad_and_stack(
    parts: Sequence[Float32[Tensor, "_ _"]], width: int
) -> Float32[Tensor, "rows width"]:
    """Concatenate the rows of matrices, which are padded with columns of zeros on the right.

    Parameters
    ----------
    parts
        The matrices.
    width
        Number of columns of the result, at least that of each matrix.
    """
    return torch.cat([pad(part, (0, width - part.shape[1])) for part in parts])


def gather_rows(x: Float32[Tensor, "all d"], index: Tensor | np.ndarray) -> Tensor:
    """Return rows of a matrix, in an array of the shape of `index` with a last axis of columns.

    Parameters
    ----------
    x
        The matrix.
    index
        Row indices, of any shape.
    """
    return embedding(torch.as_tensor(index, device=device()), x)


def draw_normal(
    seed: int, purpose: str, rows: int, columns: int
) -> Float32[Tensor, "rows columns"]:
    """Draw a matrix of standard normal numbers.

    Parameters
    ----------
    seed, purpose
        Seed and name of the random stream; equal ones give equal numbers.
    rows, columns
        Shape of the matrix.
    """
    return tensor(stream(seed, "mlp", purpose).standard_normal((rows, columns)))


def tensor(array: np.ndarray) -> Float32[Tensor, "..."]:
    """Return a NumPy array on the device in single precision."""
    return torch.from_numpy(array).to(device(), torch.float32)
