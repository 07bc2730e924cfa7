"""Sections with a label, built into pairs or refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.raw import build as building
from cell_synergy.raw.checks.joined_pairs import NO_REQUIREMENTS

GENES = " ".join(f"g{i}" for i in range(40))

REGION = {"region": {"kind": "classification"}}


@pytest.fixture
def build(dataset, rules):
    def make(sections, needs=NO_REQUIREMENTS, limits=None, **changes):
        own = rules.model_copy(update={"class_units": 4} | (limits or {}))
        changes = {"tasks": REGION, **changes}
        return building.build("lab", sections, dataset(**changes), own, Path(), None, needs)

    return make


@pytest.fixture
def refused(build):
    """Return a function that gives the messages of a refusal."""

    def messages(sections, **changes):
        with pytest.raises(DataError) as error:
            build(sections, **changes)
        text = str(error.value)
        return re.split(r"\n  \d+\. ", text)[1:] or [text]

    return messages


@pytest.fixture
def three(section):
    return [section(name, name[0], GENES) for name in ("A1", "B1", "R1")]


@pytest.fixture
def strip(section):
    """Return a function that makes a section of 20 x 4 columns and rows, 50 um apart."""

    def make(name="A1", donor="A"):
        one = section(name, donor, GENES, units=80)
        x, y = (axis.ravel() for axis in np.meshgrid(np.arange(20), np.arange(4)))
        one.adata.obsm["spatial"] = 50.0 * np.column_stack([x, y])
        one.adata.obs["region"] = np.array(["core", "rim"])[y % 2]
        return one

    return make
