"""Blocks of a representation: features that belong together, such as the embedding of one expert.

One penalty shrinks every feature alike, so that of two concatenated embeddings the wider one would
decide how strongly both are shrunk. Blocks are therefore scaled to equal total variance before the
linear probe.
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


def equal_variance(blocks: Sequence[Block]) -> list[Block]:
    """Scale blocks of standardised features to equal total variance; one block is not changed.

    With K blocks and d features in all, a block of k features is multiplied by sqrt(d / (K k)): the
    total variance stays d. Blocks without features are left out, unless no block has any.

    Parameters
    ----------
    blocks
        Standardised features of each block, a row per observation.
    """
    filled = [block for block in blocks if block.shape[1]]
    if len(filled) <= 1:
        return filled or list(blocks[:1])
    mean = sum(block.shape[1] for block in filled) / len(filled)
    return [block * np.float32((mean / block.shape[1]) ** 0.5) for block in filled]
