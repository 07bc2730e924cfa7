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
        Its key `name` is the method; the other keys override the method's section of params.yaml.
    data
        Its key `dataset` is the data set; the other keys override that section of params.yaml.
    pairs
        File of the data set's paired observations.
    image, expression
        Files of the embeddings of the two frozen experts, the image and the expression encoder.
    labels
        File of the observations' labels; None for stages that use none, such as `align`.
    """

    models: Any = Field(default_factory=dict)
    data: Any = Field(default_factory=dict)
    pairs: Path
    image: Path
    expression: Path
    labels: Path | None = None
