"""Pairs and run contexts that the tests of all methods share."""

import functools
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from cell_synergy import models
from cell_synergy.training.method import FitSpec, Pairs, RunContext

PARAMS = YAML(typ="safe").load(Path(__file__).parents[2] / "params.yaml")
TRAINING = PARAMS["training"] | {"max_epochs": 2, "batch_size": 32}
N_OBS = 96


@pytest.fixture(scope="session")
def pairs():
    """Two embeddings of 48 and 40 features with three shared directions, of three donors."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((N_OBS, 3))
    image, expression = (
        (shared @ rng.standard_normal((3, d)) + rng.standard_normal((N_OBS, d))).astype(np.float32)
        for d in (48, 40)
    )
    return Pairs(image, expression, np.repeat(["A", "B", "C"], N_OBS // 3))


@pytest.fixture
def context(tmp_path):
    """The context of a run of two epochs."""
    return RunContext(TRAINING, lambda *_: None, tmp_path / "checkpoint.pt", "test")


@pytest.fixture(scope="session")
def fit_one():
    """Return a function that fits one specification and returns its weights."""

    def fitted(method, pairs, context, seed=0):
        (weights,) = method.fit([FitSpec(f"holdout-{seed}", pairs, pairs, seed)], context)
        return weights

    return fitted


@pytest.fixture(scope="session")
def load():
    """Load a method with the hyperparameters of params.yaml, of which some may be changed."""
    return lambda name, **changed: models.load(name, PARAMS["models"][name] | changed)


@pytest.fixture
def fit(pairs, context, load, fit_one):
    """Fit a method of params.yaml on the pairs; return its weights with one seed."""
    return lambda name, seed=0: fit_one(load(name), pairs, context, seed)


@pytest.fixture(scope="session")
def fitted(pairs, load, fit_one, tmp_path_factory):
    """Return the weights of a method with seed 0, fitted once for all tests that only read them."""
    checkpoint = tmp_path_factory.mktemp("fitted") / "checkpoint.pt"
    context = RunContext(TRAINING, lambda *_: None, checkpoint, "test")
    return functools.cache(lambda name: fit_one(load(name), pairs, context))
