"""The parameters of an expert."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]


@pytest.fixture
def expert_block():
    """Return a function that reads an expert's block of params.yaml, or of its own file."""

    def read(name):
        licensed = ROOT / f"licensed/{name}.yaml"
        path = licensed if licensed.exists() else ROOT / "params.yaml"
        return YAML(typ="safe").load(path)["encoders"][name]

    return read
