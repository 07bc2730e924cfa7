"""Nested parts of the training pairs, drawn within training donors; test donors are never touched.

A part is a fold of which only some training units are learnt from: alignment, fine-tuning and the
scaling of features see the drawn pairs alone, and so do labels, but for the second curve, in which
every training label is known. That one is of the first draw alone. Where each donor is standardised
for itself (transductive), all its unlabelled units do that, as everywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Shaped
from pydantic import AfterValidator, BeforeValidator, NonNegativeInt, PositiveInt
from tqdm import tqdm

from cell_synergy.core.config import Config
from cell_synergy.core.random import stream
from cell_synergy.data.config import Names, Task, listed, none_of
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold
from cell_synergy.studies.scaling import WHOLE


def _shares(values: tuple[float, ...]) -> tuple[float, ...]:
    """Refuse fractions that are none, or whose order is not that of the curve."""
    if values[-1] != WHOLE or values[0] <= 0 or list(values) != sorted(set(values)):
        raise ValueError("per cent of the pairs: they rise from above 0 to 100")
    return values


class ScalingConfig(Config):
    """The scaling study.

    Attributes
    ----------
    fractions
        Of the training pairs, in per cent; the last is 100.
    draws
        Of each fraction but the whole.
    pairs
        Under so many pairs a fraction is left out.
    labels
        Under so many labelled training units a task is left out.
    tasks
        What is predicted, of those that the data set has.
    seed
        Of the draws.
    """

    fractions: Annotated[tuple[float, ...], BeforeValidator(listed), AfterValidator(_shares)]
    draws: PositiveInt
    pairs: PositiveInt
    labels: PositiveInt
    tasks: Names
    seed: NonNegativeInt

    def chosen(self, tasks: dict[str, Task], source: str) -> dict[str, Task]:
        """Return the tasks that a data set has; a line says so if it has none of them."""
        if not (found := {name: tasks[name] for name in self.tasks if name in tasks}):
            tqdm.write(f"{source}: {none_of('scaling.tasks', tasks)}; its scaling is left out")
        return found


@dataclass(frozen=True, eq=False)
class Part:
    """One draw of one fraction.

    Attributes
    ----------
    fraction
        In per cent.
    draw
        Its number, from 0.
    pairs
        Training pairs that were drawn; of them and of labelled units of other training donors the
        fraction is the same.
    few
        The fold, with the drawn units alone to learn from.
    labelled
        The same, but labels of all training units are known.
    """

    fraction: float
    draw: int
    pairs: int
    few: Fold
    labelled: Fold


def parts(paired: PairedDataset, fold: Fold, settings: ScalingConfig) -> Iterator[Part]:
    """Yield every draw of every fraction of a fold; the whole is one draw.

    Of one draw the fractions are nested: each holds the smaller ones, in every donor.
    """
    for fraction in settings.fractions:
        for draw in range(1 if fraction == WHOLE else settings.draws):
            drawn = _drawn(paired.groups, fold, fraction, draw, settings.seed)
            align = fold.align & drawn
            few = replace(fold, align=align, probe=fold.probe & drawn)
            labelled = replace(fold, align=align)
            yield Part(fraction, draw, int(align.sum()), few, labelled)


def _drawn(
    groups: Shaped[np.ndarray, " obs"], fold: Fold, fraction: float, draw: int, seed: int
) -> Bool[np.ndarray, " obs"]:
    """Return the units of one draw: the first ones of a permutation of each training donor."""
    drawn = np.zeros(len(groups), dtype=bool)
    for group in np.unique(groups[fold.probe]):
        own = np.flatnonzero(fold.probe & (groups == group))
        order = stream(seed, "scaling", fold.name, str(group), str(draw)).permutation(own)
        drawn[order[: round(fraction / WHOLE * len(own))]] = True
    return drawn
