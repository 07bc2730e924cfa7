"""Configuration of the spatial evaluation, and names of its columns and tasks.

The section `spatial` of params.yaml is a `SpatialConfig`.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt

from cell_synergy.core.config import Config
from cell_synergy.data.naming import Names, listed

BAND_COLUMNS = ["target", "band", "inner_um", "outer_um", "neighbours"]
"""Columns of the score tables that describe the distance band of a task."""

CONSISTENCY = "consistency"
"""Name of the task that classifies pairs of observations as close or far; it has no band."""


def _increasing(counts: tuple[int, ...]) -> tuple[int, ...]:
    if list(counts) != sorted(set(counts)):
        raise ValueError("write the counts in rising order")
    return counts


Counts = Annotated[
    tuple[PositiveInt, ...],
    BeforeValidator(listed),
    Field(min_length=1),
    AfterValidator(_increasing),
]
"""A list of increasing positive integers."""

Probes = Annotated[tuple[Literal["linear", "mlp"], ...], BeforeValidator(listed)]
"""A list of probes."""


class ConsistencyConfig(Config):
    """Configuration of the close and far pairs of observations.

    Attributes
    ----------
    nearest
        Number of nearest neighbours of an observation from which its close pairs are drawn.
    farthest
        A pair is far if its distance is above this quantile (0 to 1) of the section's distances.
    pairs
        Number of pairs of each kind that are drawn per section.
    """

    nearest: PositiveInt
    farthest: Annotated[float, Field(gt=0, lt=1)]
    pairs: PositiveInt


class SpatialConfig(Config):
    """Configuration of the distance bands and of the pairs of observations.

    Attributes
    ----------
    neighbours
        Mean number of neighbours, over the observations of a section, within the outer radius of
        each band, increasing; a band begins where the band before it ends.
    least
        Minimal number of observations of a donor that have labelled neighbours in a band; with
        fewer, the donor is left out of the band.
    targets
        Tasks whose majority label or mean composition among neighbours is predicted, if a data set
        has them.
    probes
        Probes that predict the neighbours: `linear`, `mlp` or both. Pairs are classified by linear
        probes.
    seed
        Seed of the pairs that are drawn.
    consistency
        Configuration of the pairs.
    """

    neighbours: Counts
    least: PositiveInt
    targets: Names
    probes: Probes
    seed: int
    consistency: ConsistencyConfig
