"""Inputs of the fusion methods: how many principal axes of each expert's embedding they get."""

from typing import Annotated

from pydantic import BeforeValidator

from cell_synergy.core.config import Config


def _number_or_none(value: object) -> int | None:
    """Return a number of axes, or None for the text `none`, which has to be written."""
    if value == "none":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ValueError("a number of principal axes, 1 or more, or none for all features")


class InputConfig(Config):
    """The key `align.axes` of params.yaml, which everything that embeds with weights reads.

    Attributes
    ----------
    axes
        Maximal number of principal axes of each expert's standardised embedding that a fusion
        method gets; None, in params.yaml `none`, for all features of both experts, not rotated.
    """

    axes: Annotated[int | None, BeforeValidator(_number_or_none)]
