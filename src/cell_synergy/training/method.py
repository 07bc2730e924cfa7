"""What a fusion method is: the contract that every file in `cell_synergy.models` fulfils."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped

from cell_synergy.core.config import Config

Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Pairs:
    """Training rows: row i of `image` and of `expression` are the same unit.

    Attributes
    ----------
    image, expression
        Standardised embeddings of the two frozen experts.
    donor
        Who each unit came from.
    """

    image: Float32[np.ndarray, "obs d1"]
    expression: Float32[np.ndarray, "obs d2"]
    donor: Shaped[np.ndarray, " obs"]


@dataclass(frozen=True)
class Job:
    """One fit: the rows of a fold, and a seed.

    Attributes
    ----------
    name
        Fold and seed, as in `holdout-0`.
    pairs
        Rows to learn from, the same for every method.
    held
        Rows of the training donors that no method learns from: the validation curve is theirs.
    seed
        All randomness of this fit derives from it.
    """

    name: str
    pairs: Pairs
    held: Pairs
    seed: int


@dataclass(frozen=True)
class Run:
    """What a method needs to know of the run that its fits belong to.

    Attributes
    ----------
    training
        The section `training` of params.yaml, for methods that are trained by gradient steps.
    log
        Called with (name, value, epoch) once per epoch, curve and job.
    checkpoint
        File to resume from and to save to; the caller removes it when the run is done.
    label
        What the progress bar says.
    """

    training: Mapping[str, object]
    log: Callable[[str, float, int], None]
    checkpoint: Path
    label: str


class Method(Config, ABC):
    """The hyperparameters of one method, and what it does with them."""

    @abstractmethod
    def fit(self, jobs: Sequence[Job], run: Run) -> list[Weights]:
        """Learn each job; return what `transform` needs of each, as named arrays."""

    @abstractmethod
    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> Float32[np.ndarray, "obs d3"]:
        """Return the joint embedding of any units, trained on or not."""

    @property
    def seeded(self) -> bool:
        """Whether another seed gives another result; the others are fitted once."""
        return False


class ClosedForm(Method):
    """A method without gradient steps: each job is solved by itself."""

    @abstractmethod
    def solve(self, pairs: Pairs, seed: int) -> Weights:
        """Return what `transform` needs."""

    def fit(self, jobs: Sequence[Job], run: Run) -> list[Weights]:
        """Solve each job."""
        return [self.solve(job.pairs, job.seed) for job in jobs]


class Untrained(ClosedForm):
    """A representation that learns nothing."""

    def solve(self, pairs: Pairs, seed: int) -> Weights:
        """Return nothing."""
        return {}
