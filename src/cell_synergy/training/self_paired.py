"""Self-paired methods: controls that fit a fusion method to one expert paired with itself.

A nonlinear encoder can make the content of one embedding easier to read for a linear probe. A gain
over both experts is therefore due to the second modality only where it exceeds the gain of the same
method, with the same hyperparameters, on one expert alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float32

from cell_synergy.training.method import FitSpec, Method, Pairs, RunContext, Weights


class SelfPaired(Method):
    """A method whose two inputs are both the embedding of one expert.

    A control derives from this class first, and from the `Model` of its method second. The joint
    embedding then depends on one expert only. The two copies are augmented independently, so that
    a network contrasts two noisy views of one embedding; networks keep separate weights for them.

    Attributes
    ----------
    expert
        The expert that replaces the other one, in `fit` and in `transform`.
    """

    expert: ClassVar[Literal["image", "expression"]]

    def n_seeds(self, seeds: int) -> int:  # noqa: ARG002 - the signature of every method
        """Return 1: a control is fitted with the first seed only, to keep the store small."""
        return 1

    def fit(self, specs: Sequence[FitSpec], context: RunContext) -> list[Weights]:
        """Fit the method to pairs of the expert with itself; as `fit` of the method otherwise.

        Parameters
        ----------
        specs, context
            One specification per fold and seed; settings and files shared by the fits.

        Raises
        ------
        ConfigError, DataError
            As `fit` of the method does.
        """
        paired = [
            replace(spec, pairs=self._twice(spec.pairs), validation=self._twice(spec.validation))
            for spec in specs
        ]
        return super().fit(paired, context)  # type: ignore[safe-super] # that of the second base

    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> Float32[np.ndarray, "obs d3"]:
        """Return the joint embedding of the expert with itself, one row per observation.

        Parameters
        ----------
        weights
            Weights of one fit, as `fit` returns them.
        image, expression
            Inputs from the two experts, of which only those of `expert` are used.

        Raises
        ------
        ConfigError
            If the weights are those of another network.
        """
        x = image if self.expert == "image" else expression
        return super().transform(weights, x, x)  # type: ignore[safe-super] # as in `fit`

    def block_widths(self, image: int, expression: int) -> tuple[int, ...]:
        """Return the widths of the blocks of the joint embedding of the expert with itself.

        Parameters
        ----------
        image, expression
            Numbers of features of the two experts, of which only that of `expert` is used.
        """
        width = image if self.expert == "image" else expression
        return super().block_widths(width, width)

    def _twice(self, pairs: Pairs) -> Pairs:
        x = pairs.image if self.expert == "image" else pairs.expression
        return Pairs(x, x, pairs.donor)
