"""The tiny data set of four donors, of which the last is scored, and settings of the study."""

import numpy as np
import pytest

from cell_synergy.studies.scaling.subsets import ScalingConfig
from tests.downstream.conftest import (
    codes,
    make_dataset,
    make_tissue,
    relabel,
    run_all,
    units,
)
from tests.training.conftest import load, pairs, scratch, training

__all__ = [
    "codes", "load", "make_dataset", "make_tissue", "pairs", "relabel", "run_all",
    "scratch", "training", "units",
]  # fmt: skip

HOLDOUT = {"split": "holdout", "roles": {"train": ["A", "B"], "probe": ["C"], "test": ["D"]}}


@pytest.fixture
def dataset(make_dataset):
    return make_dataset(**HOLDOUT)


@pytest.fixture
def paired(make_tissue, units, dataset):
    return make_tissue(units, dataset)


@pytest.fixture
def settings():
    """Return a function that makes the settings, with changes."""
    base = {
        "fractions": [5, 25, 50, 100], "draws": 2, "pairs": 10, "labels": 10,
        "tasks": ["region", "layer"], "seed": 0,
    }  # fmt: skip
    return lambda **changes: ScalingConfig.model_validate(base | changes)


@pytest.fixture
def fold(paired):
    (only,) = paired.folds
    assert not np.any(only.test & only.probe)
    return only
