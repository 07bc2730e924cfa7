"""A small data set of four donors."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold
from tests.downstream.conftest import codes, make_dataset, units
from tests.training.conftest import load, pairs, scratch, training

__all__ = ["codes", "load", "make_dataset", "pairs", "scratch", "training", "units"]


@pytest.fixture
def paired():
    """Four donors of 20 units; donor A is left out in fold `A`, B in fold `B`."""
    rng = np.random.default_rng(1)
    donor = np.repeat(list("ABCD"), 20)
    folds = [Fold(name, donor != name, donor != name, donor == name) for name in "AB"]
    image, expression = (rng.standard_normal((80, d)).astype(np.float32) for d in (12, 10))
    obs = pd.DataFrame({"donor": donor, "section": donor}, index=[f"u{i}" for i in range(80)])
    units = ad.AnnData(obs=obs, obsm={"spatial": rng.uniform(0, 100, (80, 2))})
    return PairedDataset(units, image, expression, donor, donor, folds, "train")
