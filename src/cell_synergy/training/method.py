"""The contract of a fusion method, implemented by every file in `cell_synergy.models`.

`fit` takes the training pairs of several folds and seeds at once and returns the weights of each
fit; `transform` embeds any observations with the weights of one fit. docs/your-own-method.md shows
how to write a method.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Shaped

from cell_synergy.core.config import Config

Weights = dict[str, np.ndarray]
"""Arrays of one fit from which `transform` computes the joint embedding, by name.

Their files have floating-point numbers in float16.
"""


@dataclass(frozen=True)
class Pairs:
    """Paired embeddings: row i of `image` and row i of `expression` are one observation.

    Attributes
    ----------
    image, expression
        Inputs from the two frozen experts: principal axes of their standardised embeddings, or the
        standardised embeddings themselves (`Method.input_axes`).
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
        Pairs that the method is fitted on.
    validation
        Other pairs of the training donors, for the validation curve only.
    seed
        Seed from which all random streams of the fit derive.
    """

    name: str
    pairs: Pairs
    validation: Pairs
    seed: int


@dataclass(frozen=True)
class RunContext:
    """Settings and files shared by the fits of one run.

    Attributes
    ----------
    training
        Section `training` of params.yaml, for methods that are trained by gradient steps.
    log
        Function called with (name, value, epoch) once per epoch, curve and fit.
    checkpoint
        File to resume from and to save to; the caller removes it after the run.
    label
        Name of the run in the progress bar and in error messages.
    """

    training: Mapping[str, object]
    log: Callable[[str, float, int], None]
    checkpoint: Path
    label: str


class Method(Config, ABC):
    """A fusion method; its fields are its hyperparameters, which have no defaults.

    Attributes
    ----------
    full_width
        Whether the method gets the whole standardised embeddings. By default it gets as many
        principal axes of each expert as params.yaml says (`align.axes`).
    """

    full_width: ClassVar[bool] = False

    def input_axes(self, axes: int | None) -> int | None:
        """Return how many principal axes of each expert the method gets; None for all features.

        Parameters
        ----------
        axes
            Maximal number of axes that the study gives; None for all features.
        """
        return None if self.full_width else axes

    @abstractmethod
    def fit(self, specs: Sequence[FitSpec], context: RunContext) -> list[Weights]:
        """Compute the weights of every fit.

        Parameters
        ----------
        specs
            One specification per fold and seed.
        context
            Settings and files shared by the fits.

        Returns
        -------
        :
            For each specification, in order, the arrays that `transform` needs, by name.

        Raises
        ------
        ConfigError
            If the hyperparameters or `context.training` do not fit the training pairs, or the
            training diverges.
        DataError
            If a solution in closed form is not determined by the training pairs.
        """

    @abstractmethod
    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> Float32[np.ndarray, "obs d3"]:
        """Return the joint embedding `z3` of observations, of training or held-out donors.

        Row i of the result is the observation of row i of the inputs.

        Parameters
        ----------
        weights
            Weights of one fit, as `fit` returns them.
        image, expression
            Inputs from the two experts, as in `Pairs`; row i of both is one observation.

        Raises
        ------
        ConfigError
            If the weights are those of another network.
        """

    def block_widths(self, image: int, expression: int) -> tuple[int, ...]:
        """Return the widths of the blocks of the joint embedding; empty if it is one block.

        Blocks are features that one penalty would not treat alike, such as the embeddings of two
        experts side by side: the linear probe scales them to equal total variance, and late fusion
        has a hidden layer for each.

        Parameters
        ----------
        image, expression
            Numbers of input features from the two experts.
        """
        return ()

    def embed(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> list[Float32[np.ndarray, "obs _"]]:
        """Return the blocks of the joint embedding: `transform`, divided by `block_widths`.

        Parameters
        ----------
        weights, image, expression
            As `transform` takes them.

        Raises
        ------
        ConfigError
            As `transform` does.
        """
        joint = self.transform(weights, image, expression)
        widths = self.block_widths(image.shape[1], expression.shape[1])
        return np.split(joint, np.cumsum(widths)[:-1], axis=1) if widths else [joint]

    @property
    def seeded(self) -> bool:
        """Whether the result depends on the seed."""
        return False

    def n_seeds(self, seeds: int) -> int:
        """Return how many seeds to fit the method with: one if the result does not depend on it.

        Parameters
        ----------
        seeds
            Number of seeds of the study.
        """
        return seeds if self.seeded else 1


class ClosedForm(Method):
    """A method with a closed-form solution, computed for one fit at a time."""

    @abstractmethod
    def solve(self, pairs: Pairs, seed: int) -> Weights:
        """Return the weights of one fit: the arrays that `transform` needs, by name.

        Parameters
        ----------
        pairs
            Training pairs of the fit.
        seed
            Seed from which all random streams of the fit derive.

        Raises
        ------
        ConfigError
            If the hyperparameters do not fit the training pairs.
        DataError
            If the solution is not determined by the training pairs.
        """

    def fit(self, specs: Sequence[FitSpec], context: RunContext) -> list[Weights]:
        """Return the weights that `solve` computes for each fit, in the order of `specs`.

        Parameters
        ----------
        specs
            One specification per fold and seed.
        context
            Not used.

        Raises
        ------
        ConfigError, DataError
            As `solve` does.
        """
        return [self.solve(spec.pairs, spec.seed) for spec in specs]


class Untrained(ClosedForm):
    """A representation that is computed without being fitted."""

    def solve(self, pairs: Pairs, seed: int) -> Weights:
        """Return no weights: an empty dictionary.

        Parameters
        ----------
        pairs, seed
            Not used.
        """
        return {}
