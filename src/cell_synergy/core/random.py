"""Random generators, one per purpose, so that no draw depends on the number of other draws."""

from zlib import crc32

import numpy as np


def stream(seed: int, *purpose: str) -> np.random.Generator:
    """Return the generator for one purpose, for example `stream(0, "batches", fold)`.

    Parameters
    ----------
    seed
        Seed of the study or of a fit.
    purpose
        Words that name the purpose; the CRC-32 of each is part of the generator's seed.
    """
    hashes = [crc32(word.encode()) for word in purpose]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *hashes])))


def derived_seed(seed: int, *purpose: str) -> int:
    """Return a seed below 2^63 - 1 for one purpose, for the generator of another library.

    Parameters
    ----------
    seed
        Seed of the study or of a fit.
    purpose
        Words that name the purpose.
    """
    return int(stream(seed, *purpose).integers(2**63 - 1))
