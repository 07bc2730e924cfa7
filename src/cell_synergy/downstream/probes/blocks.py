"""Blocks of a representation: features that belong together, such as the embedding of one expert.

One penalty shrinks every feature alike, so that of two concatenated embeddings the wider one would
decide the strength for both. Blocks are therefore scaled to equal total variance before the linear
probe: a block's share of the penalty does not depend on its width.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

Block = Float32[np.ndarray, "obs _"]
"""Features of one block, a row per observation."""

Embedding = Block | Sequence[Block]
"""Features of all observations: an array, or an array per block."""


def as_blocks(embedding: Embedding) -> list[Block]:
    """Return the blocks of an embedding; an array is one block."""
    return [embedding] if isinstance(embedding, np.ndarray) else list(embedding)


def equal_variance(blocks: Sequence[Block]) -> Float32[np.ndarray, "obs d"]:
    """Concatenate blocks of standardised features, scaled so that their total variances are equal.

    With K blocks that have features and d features in all, a block of k features is multiplied by
    sqrt(d / (K k)): the total variance stays d, and a single block is not changed.

    Parameters
    ----------
    blocks
        Standardised features of each block, a row per observation.
    """
    filled = [block for block in blocks if block.shape[1]]
    if len(filled) <= 1:
        return np.concatenate(blocks, axis=1)
    mean = sum(block.shape[1] for block in filled) / len(filled)
    factors = [np.float32((mean / block.shape[1]) ** 0.5) for block in filled]
    return np.concatenate([b * f for b, f in zip(filled, factors, strict=True)], axis=1)
