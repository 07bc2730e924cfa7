"""Degenerate inputs, for every method: finite numbers, or an error that gives the reason."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from cell_synergy import models
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.training.loop import Trained
from cell_synergy.training.method import FitSpec, Pairs, RunContext
from cell_synergy.training.replicas import Replicas

BLOCKS = YAML(typ="safe").load(Path(__file__).parents[2] / "params.yaml")["models"]
NAMES = models.names()
TRAINED = [name for name in NAMES if isinstance(models.load(name, BLOCKS[name]), Trained)]
COLDEST = 0.01
TRAINING = {
    "max_epochs": 2,
    "batch_size": 2,
    "weight_decay": 0.01,
    "noise_std": 0.0,  # so that equal rows stay equal
    "feature_dropout": 0.0,
    "precision": "float32",
}
ROWS, D1, D2 = 12, 48, 40


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def edge(image, expression):
    return Pairs(image, expression, np.repeat(["A", "B"], ROWS // 2))


EDGES = {
    "constant": edge(np.ones((ROWS, D1), np.float32), np.ones((ROWS, D2), np.float32)),
    "zero": edge(np.zeros((ROWS, D1), np.float32), np.zeros((ROWS, D2), np.float32)),
    "one constant modality": edge(random(ROWS, D1), np.ones((ROWS, D2), np.float32)),
    "identical rows": edge(
        np.tile(random(1, D1), (ROWS, 1)), np.tile(random(1, D2) + 1, (ROWS, 1))
    ),
    "collapsed to a line": edge(
        random(ROWS, 1) @ np.ones((1, D1), np.float32),
        random(ROWS, 1) @ np.ones((1, D2), np.float32),
    ),
    "fewer observations than features": edge(random(ROWS, D1), random(ROWS, D2)),
    "far from standardised": edge(1e4 * random(ROWS, D1), 1e-4 * random(ROWS, D2)),
}

CONSTANT = ["constant", "zero", "one constant modality", "identical rows"]
CORRELATED = ("cca", "dcca", "bilinear", "bilinear_full", "bilinear_expression")
REFUSED = [(name, case) for name in CORRELATED for case in CONSTANT]
REFUSED += [("bilinear_image", case) for case in CONSTANT if case != "one constant modality"]


def coldest(name):
    """Return a method as params.yaml has it, at T = 0.01 if it has a temperature."""
    cold = {"temperature": COLDEST} if "temperature" in BLOCKS[name] else {}
    return models.load(name, BLOCKS[name] | cold)


def fit(method, cases, batch, checkpoint):
    """Fit all cases at once; return the weights and all logged losses."""
    logged = []
    training = TRAINING | {"batch_size": batch}
    context = RunContext(training, lambda _, loss, __: logged.append(loss), checkpoint, "edges")
    specs = [FitSpec(f"{case}-0", EDGES[case], EDGES[case], 0) for case in cases]
    return method.fit(specs, context), logged


@pytest.mark.parametrize("batch", [2, ROWS])
@pytest.mark.parametrize("name", NAMES)
def test_fits_and_embeds_in_finite_numbers(name, batch, tmp_path):
    method, cases = coldest(name), [case for case in EDGES if (name, case) not in REFUSED]
    weights, logged = fit(method, cases, batch, tmp_path / "checkpoint.pt")
    for case, fitted in zip(cases, weights, strict=True):
        assert all(np.isfinite(array).all() for array in fitted.values()), case
        joint = method.transform(fitted, EDGES[case].image, EDGES[case].expression)
        assert np.isfinite(joint).all(), case
    assert np.isfinite(logged).all()
    assert bool(logged) == (name in TRAINED)


@pytest.mark.parametrize("batch", [2, ROWS])
@pytest.mark.parametrize(("name", "case"), REFUSED)
def test_constant_features_are_refused_by_correlation_methods(name, case, batch, tmp_path):
    with pytest.raises(DataError, match=r"(image|expression): none of its \d+ features varies"):
        fit(coldest(name), [case], batch, tmp_path / "checkpoint.pt")


def test_a_batch_of_one_pair_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"training\.batch_size: .*2, got 1"):
        fit(coldest("simclr"), ["fewer observations than features"], 1, tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("batch", [2, ROWS])
@pytest.mark.parametrize("name", TRAINED)
def test_losses_and_gradients_are_finite(name, batch):
    method = coldest(name)
    torch.manual_seed(0)
    replicas = Replicas([method.network(D1, D2) for _ in EDGES])
    image, expression = (
        torch.from_numpy(np.stack([getattr(pairs, side)[:batch] for pairs in EDGES.values()]))
        for side in ("image", "expression")
    )
    losses = replicas.losses([(image, expression)] * replicas.network.n_views, training=True)
    losses.sum().backward()
    assert losses.isfinite().all()
    for parameter, value in replicas.params.items():
        assert value.grad is not None, parameter
        finite = value.grad.flatten(1).isfinite().all(dim=1)
        assert finite.all(), (parameter, dict(zip(EDGES, finite.tolist(), strict=True)))
