"""Configuration of the probes: the section `probe` of params.yaml."""

from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from cell_synergy.core.config import Config


class MLPConfig(Config):
    """Configuration of the nonlinear probe.

    Attributes
    ----------
    starts
        Number of networks, with different initial weights, whose outputs are averaged.
    hidden
        Number of hidden units of a network; in late fusion, of the layer of each block (embedding).
    axes
        Maximal number of principal components of a block that are its inputs.
    powers
        Number of power iterations that initialise the hidden layer.
    epochs, batches
        Number of passes over the training rows, and of AdamW steps per pass; equal for all fits.
    lr
        Initial learning rate of the cosine schedule.
    weakest, strongest, strengths
        Smallest and largest weight decay and number of weight decays, evenly spaced on a log scale.
    """

    starts: PositiveInt
    hidden: PositiveInt
    axes: PositiveInt
    powers: PositiveInt
    epochs: PositiveInt
    batches: PositiveInt
    lr: PositiveFloat
    weakest: PositiveFloat
    strongest: PositiveFloat
    strengths: PositiveInt

    def weight_decays(self) -> list[float]:
        """Return the weight decays, largest first."""
        return [float(s) for s in np.geomspace(self.strongest, self.weakest, self.strengths)]


class ProbeConfig(Config):
    """Configuration of the linear and the nonlinear probe.

    Attributes
    ----------
    weakest, strongest, strengths
        Smallest and largest L2 penalty of the linear probe and number of penalties, evenly spaced
        on a log scale.
    block_steps
        In a representation of several blocks, the largest number of steps of the grid by which the
        penalty of one block may be below that of the others.
    inner_folds
        Number of folds of the inner cross-validation over training donors, which selects the
        regularisation of every probe.
    tolerance, iterations
        The logistic probe's optimiser stops when the largest entry of the preconditioned gradient
        is at most `tolerance`, or after `iterations` conjugate-gradient steps.
    mlp
        Configuration of the nonlinear probe.
    """

    weakest: PositiveFloat
    strongest: PositiveFloat
    strengths: PositiveInt
    block_steps: NonNegativeInt
    inner_folds: Annotated[int, Field(ge=2)]
    tolerance: PositiveFloat
    iterations: PositiveInt
    mlp: MLPConfig

    def penalties(self) -> list[float]:
        """Return the L2 penalties, largest first."""
        return [float(s) for s in np.geomspace(self.strongest, self.weakest, self.strengths)]
