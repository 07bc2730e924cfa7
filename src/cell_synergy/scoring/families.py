"""Families of tests: the methods over which p values are corrected together.

A family is tested on one data set, task and probe (or band of distance), and its p values are
corrected for the best of its methods by max-T. The ten methods of the paper are one family; all
other fusion methods, such as `bilinear` or a user's own, are another one. A further row therefore
takes no power from the paper's ten. Experts and controls belong to no family: their p values are
not corrected. Nothing is corrected over families.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool

from cell_synergy.core.names import method_group
from cell_synergy.scoring.inference import PValues

PAPER, BEYOND, NO_FAMILY = "paper", "beyond the paper", ""


def family(method: str) -> str:
    """Return the family of a method: `PAPER`, `BEYOND`, or `NO_FAMILY` of experts and controls.

    Parameters
    ----------
    method
        Name of the method.
    """
    group = method_group(method)
    return group if group in (PAPER, BEYOND) else NO_FAMILY


def corrected_within(
    families: Sequence[str], test: Callable[[Bool[np.ndarray, " methods"]], PValues]
) -> PValues:
    """Return p values that are corrected within each family.

    Parameters
    ----------
    families
        Family of each method.
    test
        Function from a mask of the methods over which p values are corrected to the p values of all
        methods, whose uncorrected ones must not depend on the mask.

    Returns
    -------
    :
        Uncorrected p values, and corrected ones, which are NaN for methods of `NO_FAMILY`.
    """
    of_method = np.array(families, dtype=object)
    members = [of_method == name for name in dict.fromkeys(families) if name != NO_FAMILY]
    if not members:
        return test(np.zeros(len(families), dtype=bool))
    first, *others = (test(mask) for mask in members)
    corrected = first.corrected.copy()
    for mask, values in zip(members[1:], others, strict=True):
        corrected[..., mask] = values.corrected[..., mask]
    return PValues(first.uncorrected, corrected)
