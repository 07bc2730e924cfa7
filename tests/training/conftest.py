"""Small pairs, and small versions of the methods in params.yaml."""

from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from cell_synergy import models
from cell_synergy.training.method import Pairs

PARAMS = YAML(typ="safe").load(Path(__file__).parents[2] / "params.yaml")
SMALL = {
    "cca": {"components": 4},
    "random": {"width": 8},
    "simclr": {"hidden": 16, "width": 8},
    "comm": {"width": 8, "tokens": 2, "rank": 4, "heads": 2},
}


@pytest.fixture
def load():
    """Load a small version of a method."""
    return lambda name: models.load(name, PARAMS["models"][name] | SMALL.get(name, {}))


@pytest.fixture
def training():
    """Five epochs of four steps."""
    return PARAMS["training"] | {"max_epochs": 5, "batch_size": 16}


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    image, expression = (rng.standard_normal((70, d)).astype(np.float32) for d in (12, 10))
    return Pairs(image, expression, np.repeat(["A", "B"], 35))


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Write checkpoints to the temporary folder of the test."""
    folder = tmp_path / "scratch"
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(folder))
    return folder
