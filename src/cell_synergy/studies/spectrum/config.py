"""What `spectrum` in params.yaml says."""

from typing import Annotated

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt

from cell_synergy.core.config import Config
from cell_synergy.data.config import listed

Percent = Annotated[float, Field(gt=0, le=100)]


class SpectrumConfig(Config):
    """How the spectrum is measured.

    Attributes
    ----------
    axes
        Leading principal axes of each embedding in which the ceiling is looked for.
    fractions
        Of the training pairs, in per cent and in one line; each holds the smaller ones.
    ranks
        Correlations that are listed.
    permutations
        Shuffles of the pairs within donors, whose largest correlation has to be exceeded.
    seed
        Of the draws of pairs and of the shuffles.
    """

    axes: PositiveInt
    fractions: Annotated[tuple[Percent, ...], BeforeValidator(listed)]
    ranks: PositiveInt
    permutations: PositiveInt
    seed: NonNegativeInt
