"""Configuration of the studies of limits and of reach, and of drawn twins."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from cell_synergy.core.config import Config
from cell_synergy.data.naming import Names
from cell_synergy.data.study_design import Role

Counts = Annotated[list[PositiveInt], Field(min_length=1)]

_LETTERS: Mapping[Role, str] = {"reference": "R", "train": "A", "probe": "P", "test": "T"}


class LimitsConfig(Config):
    """What detection limits promise, and the studies to come of which they are tabulated.

    Attributes
    ----------
    power
        Probability with which a gain of the size of a limit is found.
    correlation
        Correlation between the gains of two methods over donors.
    between, within
        In studies to come, standard deviation over donors of the expected gain, and of the gain of
        single observations of one donor, as shares of the label entropy.
    donors, observations
        Numbers of test donors, and of observations of each, that are tabulated.
    accuracy
        Balanced accuracies with which the experts show binary states that are tabulated.
    """

    power: Annotated[float, Field(gt=0, lt=1)]
    correlation: Annotated[float, Field(ge=0, le=1)]
    between: NonNegativeFloat
    within: NonNegativeFloat
    donors: Counts
    observations: Counts
    accuracy: Annotated[list[Annotated[float, Field(gt=0.5, le=1)]], Field(min_length=1)]


class DrawnTwinConfig(Config):
    """Donors of a drawn twin, and the linear model of its image embeddings.

    Attributes
    ----------
    reference, train, probe, test
        Numbers of donors by role; the sizes of their sections are the simulator's.
    width
        Number of features of an image embedding.
    visibility
        Distance between the mean embeddings of two levels of a state, in standard deviations of the
        noise of a feature (root mean square over draws of the means). A reader that knows the means
        tells two levels apart with an accuracy of Phi(visibility / 2).
    donor_sd
        Standard deviation over donors of the shift of each feature, in the same unit.
    """

    reference: PositiveInt
    train: PositiveInt
    probe: PositiveInt
    test: PositiveInt
    width: PositiveInt
    visibility: PositiveFloat
    donor_sd: NonNegativeFloat

    def roles(self) -> dict[Role, list[str]]:
        """Return the names of the donors of each role, such as `A1`."""
        return {
            role: [f"{letter}{number + 1}" for number in range(getattr(self, role))]
            for role, letter in _LETTERS.items()
        }


class ReachConfig(Config):
    """Drawn twin and grid of the study of reach.

    Attributes
    ----------
    twin
        Donors of the twin, and the linear model of its image embeddings.
    seed, seeds
        Seeds counted up from `seed`; each draws a twin and fits all methods anew.
    tasks
        Niche tasks.
    pairs, labels
        Numbers of training pairs and of labelled observations.
    """

    twin: DrawnTwinConfig
    seed: int
    seeds: PositiveInt
    tasks: Names
    pairs: Counts
    labels: Counts


class PlantedConfig(Config):
    """Drawn twins in which gains are planted, and the studies that look for them.

    Attributes
    ----------
    twin
        Donors of the twin: its test donors are the population from which studies draw theirs.
    seed, seeds
        Seeds counted up from `seed`; each draws a twin and fits all methods anew.
    tasks
        Classification tasks.
    donors
        Numbers of test donors of a study.
    effects
        Planted gains, as shares of the label entropy.
    studies
        Number of studies that are drawn for each effect.
    """

    twin: DrawnTwinConfig
    seed: int
    seeds: PositiveInt
    tasks: Names
    donors: Counts
    effects: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=1)]
    studies: PositiveInt
