"""Random streams: one per purpose, so that no draw depends on how many others were made."""

from zlib import crc32

import numpy as np


def stream(seed: int, *purpose: str) -> np.random.Generator:
    """Return the generator of one purpose, e.g. `stream(0, "batches", fold)`."""
    words = [crc32(word.encode()) for word in purpose]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))


def integer(seed: int, *purpose: str) -> int:
    """Return a 63-bit integer of one purpose, to seed somebody else's generator with."""
    return int(stream(seed, *purpose).integers(2**63 - 1))
