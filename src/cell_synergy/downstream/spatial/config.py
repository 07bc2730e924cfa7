"""What `spatial` in params.yaml says."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt

from cell_synergy.core.config import Config
from cell_synergy.data.config import Names, listed


def _rising(counts: tuple[int, ...]) -> tuple[int, ...]:
    if list(counts) != sorted(set(counts)):
        raise ValueError("write the counts in rising order")
    return counts


Counts = Annotated[
    tuple[PositiveInt, ...], BeforeValidator(listed), Field(min_length=1), AfterValidator(_rising)
]
"""Whole numbers above zero in one line, separated by commas, rising."""

Probes = Annotated[tuple[Literal["linear", "mlp"], ...], BeforeValidator(listed)]
"""Names of probes in one line, separated by commas."""


class ConsistencyConfig(Config):
    """Pairs of units that lie close together, or far apart.

    Attributes
    ----------
    nearest
        A close pair is a unit and one of so many nearest ones.
    farthest
        A far pair is farther apart than this share of the section's pairs.
    pairs
        Of each kind that are drawn per section.
    """

    nearest: PositiveInt
    farthest: Annotated[float, Field(gt=0, lt=1)]
    pairs: PositiveInt


class SpatialConfig(Config):
    """Bands around units, and pairs of units.

    Attributes
    ----------
    neighbours
        How many neighbours a unit has, on average over its section, within the outer radius of each
        band; bands do not overlap.
    least
        Units of a donor that have neighbours in a band; with fewer the donor has no such band.
    targets
        Tasks whose labels or compositions are asked of the neighbours: those that a data set has.
    probes
        Of the neighbours: `linear`, `mlp` or both. Pairs are judged by linear ones.
    seed
        Of the pairs that are drawn.
    consistency
        The pairs.
    """

    neighbours: Counts
    least: PositiveInt
    targets: Names
    probes: Probes
    seed: int
    consistency: ConsistencyConfig
