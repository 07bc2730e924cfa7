"""Designs of simulated data sets, as words of a command."""

from typing import Annotated

from pydantic import Field

Design = Annotated[str, Field(pattern=r"^[1-9]\d*x[1-9]\d*$")]
"""Test donors x observations of each, as in `8x200`."""
