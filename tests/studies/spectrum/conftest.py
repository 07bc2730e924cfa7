"""A tissue in which it is known what both modalities show and what one alone shows."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from scipy import sparse

from cell_synergy.core.config import validate
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import folds
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.spectrum.config import SpectrumConfig

PARAMS = YAML(typ="safe").load(Path(__file__).parents[3] / "params.yaml")
TRAIN, TEST, UNITS = "ABCD", "TUVWX", 60
SETTINGS = {"axes": 8, "fractions": [5, 50, 100], "ranks": 4, "permutations": 50, "seed": 0}


@pytest.fixture(scope="session")
def probe():
    """The study's linear probe."""
    return ProbeConfig(**PARAMS["probe"])


@pytest.fixture(scope="session")
def settings():
    """Eight axes, three fractions."""
    return SpectrumConfig(**SETTINGS)


@pytest.fixture(scope="session")
def dataset():
    """Three labels: of what both show, of what the image shows, and of a product of both."""
    tasks = {name: {"kind": "classification"} for name in ("both", "image_only", "product")}
    roles = {"train": list(TRAIN), "test": list(TEST)}
    base = {
        "source": "manifest", "reader": "tiny", "unit_um": 100.0, "standardise": "train",
        "split": "holdout", "tasks": tasks, "roles": roles,
    }  # fmt: skip
    return validate(DatasetConfig, base, "data.tiny")


@pytest.fixture(scope="session")
def paired(dataset):
    """Two shared latents, two latents of each modality alone, 12 and 10 features."""
    rng = np.random.default_rng(0)
    names = [*TRAIN, *TEST]
    donor = np.repeat(names, UNITS)
    count = len(donor)
    shared, own1, own2 = (rng.standard_normal((count, 2)) for _ in range(3))
    shift = np.repeat(rng.standard_normal((len(names), 1)), UNITS, axis=0)
    image, expression = (
        (np.concatenate([shared, own], axis=1) @ np.linalg.qr(rng.standard_normal((d, 4)))[0].T)
        + 0.15 * rng.standard_normal((count, d)) + shift
        for own, d in ((own1, 12), (own2, 10))
    )  # fmt: skip
    obs = pd.DataFrame({"donor": donor, "section": donor}, index=[f"u{i}" for i in range(count)])
    labels = {"both": shared[:, 0], "image_only": own1[:, 0], "product": own1[:, 0] * own2[:, 0]}
    for name, values in labels.items():
        obs[name] = np.where(values > 0, "high", "low")
    units = ad.AnnData(
        sparse.csr_matrix(np.zeros((count, 1), np.float32)), obs=obs.astype("category")
    )
    units.obsm["spatial"] = rng.uniform(0, 1000, (count, 2))
    units.uns = {"source": "tiny"}
    return PairedDataset(
        units, image.astype(np.float32), expression.astype(np.float32), donor, donor,
        folds(units.obs, dataset), "train",
    )  # fmt: skip
