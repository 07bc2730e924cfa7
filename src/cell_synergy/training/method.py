"""The contract of a fusion method, which every file in `cell_synergy.models` fulfils.

A method is fitted on the pairs of several folds and seeds at once and returns the weights of each
fit; `transform` then embeds any observations with such weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped

from cell_synergy.core.config import Config

Weights = dict[str, np.ndarray]
"""Arrays of one fit, by name."""


@dataclass(frozen=True)
class Pairs:
    """Paired embeddings: row i of `image` and row i of `expression` are the same observation.

    Attributes
    ----------
    image, expression
        Standardised embeddings of the two frozen experts.
    donor
        Donor of each observation.
    """

    image: Float32[np.ndarray, "obs d1"]
    expression: Float32[np.ndarray, "obs d2"]
    donor: Shaped[np.ndarray, " obs"]


@dataclass(frozen=True)
class FitSpec:
    """The specification of one fit: the pairs of a fold, and a seed.

    Attributes
    ----------
    name
        Fold and seed, such as `holdout-0`.
    pairs
        Training pairs, the same for every method.
    validation
        Pairs of the training donors that no method is fitted on; the validation curve is computed
        from them.
    seed
        Seed from which all random streams of this fit derive.
    """

    name: str
    pairs: Pairs
    validation: Pairs
    seed: int


@dataclass(frozen=True)
class RunContext:
    """The settings and files that the fits of one run share.

    Attributes
    ----------
    training
        The section `training` of params.yaml, for methods that are trained by gradient steps.
    log
        Function called with (name, value, epoch) once per epoch, curve and fit.
    checkpoint
        File to resume from and to save to; the caller removes it when the run is done.
    label
        Text of the progress bar and of error messages.
    """

    training: Mapping[str, object]
    log: Callable[[str, float, int], None]
    checkpoint: Path
    label: str


class Method(Config, ABC):
    """A fusion method; its fields are its hyperparameters."""

    @abstractmethod
    def fit(self, specs: Sequence[FitSpec], context: RunContext) -> list[Weights]:
        """Compute every fit.

        Parameters
        ----------
        specs
            One specification per fold and seed.
        context
            Settings and files that the fits share.

        Returns
        -------
        The arrays that `transform` needs, one dictionary per specification.
        """

    @abstractmethod
    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> Float32[np.ndarray, "obs d3"]:
        """Embed observations, whether the method was fitted on them or not.

        Parameters
        ----------
        weights
            What `fit` returned for one specification.
        image, expression
            Standardised embeddings of the observations.

        Returns
        -------
        The joint embedding `z3`.
        """

    @property
    def seeded(self) -> bool:
        """Whether the result depends on the seed; a method without randomness is fitted once."""
        return False


class ClosedForm(Method):
    """A method with a closed-form solution, computed for one fit at a time."""

    @abstractmethod
    def solve(self, pairs: Pairs, seed: int) -> Weights:
        """Return the weights of one fit."""

    def fit(self, specs: Sequence[FitSpec], context: RunContext) -> list[Weights]:
        """Solve one fit after the other."""
        return [self.solve(spec.pairs, spec.seed) for spec in specs]


class Untrained(ClosedForm):
    """A representation that is computed without being fitted."""

    def solve(self, pairs: Pairs, seed: int) -> Weights:
        """Return no weights."""
        return {}
