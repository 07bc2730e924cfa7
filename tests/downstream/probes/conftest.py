"""Data, and the two array libraries that the linear probes compute with."""

import numpy as np
import pytest
import torch

from cell_synergy.downstream.probes import _linalg
from cell_synergy.downstream.probes.design import Design

TOLERANCE, ITERATIONS = 1e-9, 1000
GRID = [1.0, 0.1, 0.01, 0.001]


def data(units, features, classes, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((units, features)) @ rng.standard_normal((features, features))
    x = x / x.std(axis=0) + rng.standard_normal(features)
    logits = x @ rng.standard_normal((features, classes)) / np.sqrt(features)
    return x, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


@pytest.fixture(params=[np, torch], ids=["numpy", "torch"])
def library(request, monkeypatch):
    """Compute with either library; torch's arrays are on the GPU where there is one."""
    monkeypatch.setattr(_linalg, "array_module", lambda: request.param)


def logistic(x, y, classes, penalty, tolerance=TOLERANCE, iterations=ITERATIONS):
    (probe,) = Design.of(x).logistic(y, classes, [penalty], tolerance, iterations)
    return probe
