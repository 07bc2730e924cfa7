"""What `probe` in params.yaml says."""

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from cell_synergy.core.config import Config
from cell_synergy.downstream.probes.mlp import MLPConfig


class ProbeConfig(Config):
    """The probes.

    Attributes
    ----------
    weakest, strongest, strengths
        Grid of the linear probe's penalties, evenly spaced on a log scale.
    inner_folds
        Folds of training donors that choose the regularisation of every probe.
    tolerance, iterations
        When the logistic probe's optimiser stops: at this gradient, or after so many
        conjugate-gradient steps.
    mlp
        The nonlinear probe.
    """

    weakest: PositiveFloat
    strongest: PositiveFloat
    strengths: PositiveInt
    inner_folds: Annotated[int, Field(ge=2)]
    tolerance: PositiveFloat
    iterations: PositiveInt
    mlp: MLPConfig

    def grid(self) -> list[float]:
        """Return the penalties, strongest first."""
        return [float(s) for s in np.geomspace(self.strongest, self.weakest, self.strengths)]
