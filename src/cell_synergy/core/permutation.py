"""Permutation of observations within donors: the null of no pairing between two modalities.

It leaves each donor's distribution in either modality unchanged, and removes every dependence
between modalities other than that on the donor.
"""

import numpy as np
from jaxtyping import Int64, Shaped


def within_donor_permutation(
    donor: Shaped[np.ndarray, " obs"], rng: np.random.Generator
) -> Int64[np.ndarray, " obs"]:
    """Return the index of the row that replaces each row, drawn among the rows of its donor.

    Parameters
    ----------
    donor
        Donor of each observation.
    rng
        Random generator; permutations are drawn from it donor by donor, in sorted order.
    """
    order = np.arange(len(donor))
    for name in np.unique(donor):
        rows = np.flatnonzero(donor == name)
        order[rows] = rng.permutation(rows)
    return order
