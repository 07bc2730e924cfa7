"""Nested subsets of the training pairs, drawn within training donors; test donors are unchanged.

A subset is a fold with some of its training observations. Alignment, fine-tuning and
standardisation are fitted to the drawn pairs alone. Probes are fitted to the labels of the drawn
pairs and, for a second curve with the first draw only, to all training labels. Where features are
standardised per donor (transductive), all unlabelled observations of a donor are used, as in every
stage.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Shaped
from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeInt, PositiveInt
from tqdm import tqdm

from cell_synergy.core.config import Config
from cell_synergy.core.random import stream
from cell_synergy.data.config import Task, no_task_message
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.naming import Names, listed
from cell_synergy.data.splits import Fold
from cell_synergy.studies.scaling import WHOLE


def _shares(values: tuple[float, ...]) -> tuple[float, ...]:
    """Return the fractions; raise an error unless they are increasing percentages up to 100."""
    if values[-1] != WHOLE or values[0] <= 0 or list(values) != sorted(set(values)):
        raise ValueError("write percentages of the pairs that rise from above 0 to 100")
    return values


class ScalingConfig(Config):
    """Configuration of the scaling study.

    Attributes
    ----------
    fractions
        Percentages of the training pairs; the last is 100.
    draws
        Number of draws of each fraction below 100 %.
    pairs
        Minimal number of training pairs; smaller fractions are omitted.
    labels
        Minimal number of labelled training observations of a task; with fewer, it is omitted.
    tasks
        Tasks to predict, if a data set has them.
    seed
        Seed of the draws.
    """

    fractions: Annotated[
        tuple[float, ...], BeforeValidator(listed), Field(min_length=1), AfterValidator(_shares)
    ]
    draws: PositiveInt
    pairs: PositiveInt
    labels: PositiveInt
    tasks: Names
    seed: NonNegativeInt

    def chosen(self, tasks: dict[str, Task], source: str) -> dict[str, Task]:
        """Return the tasks of the scaling study that a data set has; if none, log a message.

        Parameters
        ----------
        tasks
            Tasks of the data set, by name.
        source
            Name of the data set, for the log.
        """
        if not (chosen := {name: tasks[name] for name in self.tasks if name in tasks}):
            tqdm.write(
                f"{source}: {no_task_message('scaling.tasks', tasks)}; its scaling is left out"
            )
        return chosen


@dataclass(frozen=True, eq=False)
class Subset:
    """One draw of one fraction of a fold's training observations.

    Attributes
    ----------
    fraction
        Percentage of the observations of each training donor that is drawn, also of donors that
        only probes are fitted on.
    draw
        Index of the draw, from 0.
    pairs
        Number of drawn observations that alignment is fitted on.
    drawn
        Fold whose `align` and `probe` are restricted to the drawn observations.
    labelled
        Fold whose `align` alone is restricted to them: probes are fitted to all training labels.
    """

    fraction: float
    draw: int
    pairs: int
    drawn: Fold
    labelled: Fold


def subsets(paired: PairedDataset, fold: Fold, config: ScalingConfig) -> Iterator[Subset]:
    """Yield every draw of every fraction of a fold, in ascending order; 100 % has one draw.

    The subsets of one draw are nested: in every donor a larger fraction contains the smaller ones.

    Parameters
    ----------
    paired, fold
        The data set and one of its folds.
    config
        Configuration of the scaling study.
    """
    for fraction in config.fractions:
        for draw in range(1 if fraction == WHOLE else config.draws):
            mask = _draw(paired.groups, fold, fraction, draw, config.seed)
            align = fold.align & mask
            drawn = replace(fold, align=align, probe=fold.probe & mask)
            labelled = replace(fold, align=align)
            yield Subset(fraction, draw, int(align.sum()), drawn, labelled)


def _draw(
    groups: Shaped[np.ndarray, " obs"], fold: Fold, fraction: float, draw: int, seed: int
) -> Bool[np.ndarray, " obs"]:
    """Return the mask of one draw: the first entries of a permutation of each training donor."""
    mask = np.zeros(len(groups), dtype=bool)
    for group in np.unique(groups[fold.probe]):
        index = np.flatnonzero(fold.probe & (groups == group))
        order = stream(seed, "scaling", fold.name, str(group), str(draw)).permutation(index)
        mask[order[: round(fraction / WHOLE * len(index))]] = True
    return mask
