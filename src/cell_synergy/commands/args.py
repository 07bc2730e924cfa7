"""Arguments that stages and public commands have in common."""

from pathlib import Path
from typing import Any

from pydantic import Field

from cell_synergy.core.config import Config


class ExperimentArgs(Config):
    """Arguments of a method on a data set.

    Attributes
    ----------
    models
        `name` is the method; everything else overrides its section of params.yaml.
    data
        `dataset` is the data set; everything else overrides its section of params.yaml.
    pairs
        Paired observations of the data set.
    image, expression
        Embeddings of the two frozen experts, the image and the expression encoder.
    labels
        Labels of the observations; None where none are used, as in alignment.
    """

    models: Any = Field(default_factory=dict)
    data: Any = Field(default_factory=dict)
    pairs: Path
    image: Path
    expression: Path
    labels: Path | None = None
