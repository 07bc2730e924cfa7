"""The section `spectrum` of params.yaml."""

from typing import Annotated

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt

from cell_synergy.core.config import Config
from cell_synergy.data.naming import listed

Percent = Annotated[float, Field(gt=0, le=100)]


class SpectrumConfig(Config):
    """Configuration of the spectral analysis.

    Attributes
    ----------
    axes
        Number of leading principal axes of each embedding to which the analysis is restricted.
    fractions
        A list of percentages of the training pairs; the subsets are nested.
    ranks
        Number of leading correlations in the table.
    permutations
        Number of permutations within donors; the largest correlation of all permutations is a
        threshold for shared directions.
    seed
        Seed of subsets and permutations.
    """

    axes: PositiveInt
    fractions: Annotated[tuple[Percent, ...], BeforeValidator(listed), Field(min_length=1)]
    ranks: PositiveInt
    permutations: PositiveInt
    seed: NonNegativeInt
