"""A tiny data set of four donors, in which three features of one modality show the labels."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cell_synergy.core.config import validate
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import folds
from cell_synergy.downstream.evaluate import evaluate

UNITS, DONORS, PANEL = 40, "ABCD", 4


@pytest.fixture
def make_dataset():
    """Build the configuration of the data set, with some keys changed."""
    tasks = {
        "region": {"kind": "classification"},
        "composition": {"kind": "composition"},
        "gene_panel": {"kind": "gene_panel", "genes": PANEL},
    }
    base = {
        "source": "manifest", "reader": "tiny", "unit_um": 100.0,
        "standardise": "train", "split": "leave-one-donor-out", "tasks": tasks,
        "roles": {"study": list(DONORS)},
    }  # fmt: skip
    return lambda **changed: validate(DatasetConfig, base | changed, "data.tiny")


@pytest.fixture
def units():
    """Observations whose composition and counts depend on their region (core, edge, rim)."""
    rng = np.random.default_rng(0)
    count = UNITS * len(DONORS)
    region = np.tile(np.arange(UNITS) % 3, len(DONORS))
    donor = np.repeat(list(DONORS), UNITS)
    obs = pd.DataFrame({"donor": donor, "section": donor}, index=[f"u{i}" for i in range(count)])
    obs = obs.astype("category")
    obs["region"] = pd.Categorical(np.array(["core", "edge", "rim"])[region])
    shares = rng.dirichlet(np.ones(3), count) + 2 * np.eye(3)[region]
    ratio = pd.DataFrame(shares / shares.sum(axis=1, keepdims=True), obs.index, ["p", "q", "r"])
    rates = 2 + 8 * (np.arange(10)[None] % 3 == region[:, None])
    counts = sparse.csr_matrix(rng.poisson(rates).astype(np.float32))
    var = pd.DataFrame({"panel": np.arange(10) < PANEL}, index=[f"g{i}" for i in range(10)])
    place = {"spatial": rng.uniform(0, 1000, (count, 2)), "cell_type_ratio": ratio}
    table = ad.AnnData(counts, obs=obs, var=var, obsm=place)
    table.uns = {"source": "tiny"}
    return table


@pytest.fixture
def make_tissue():
    """Build the paired data set from its observations and configuration."""

    def made(units, dataset):
        rng = np.random.default_rng(1)
        codes = units.obs["region"].cat.codes.to_numpy().astype(int)
        shown = np.where(codes[:, None] >= 0, np.eye(3)[codes], 0)
        image, expression = (
            np.concatenate([shown + 0.3 * rng.standard_normal((len(codes), 3)), noise], axis=1)
            for noise in (rng.standard_normal((len(codes), d)) for d in (2, 3))
        )
        donor = units.obs["donor"].astype(str).to_numpy()
        return PairedDataset(
            units, image.astype(np.float32), expression.astype(np.float32), donor, donor,
            folds(units.obs, dataset), dataset.standardise,
        )  # fmt: skip

    return made


@pytest.fixture
def run_all(units, make_tissue, make_dataset, probe):
    """Evaluate the image embedding of the observations, with any labels."""

    def judged(labelled=units, seeds=(0,), probe=probe, embed=None, **changed):
        dataset = make_dataset(**changed)
        paired = replace(make_tissue(units, dataset), adata=labelled)
        represent = embed or (lambda fold, seed: paired.image)  # noqa: ARG005
        return evaluate("image", paired, dataset.tasks, list(seeds), represent, probe)

    return judged


@pytest.fixture
def run(run_all):
    """Evaluate with linear probes, on the tasks of the data set."""

    def judged(*words, **changed):
        found = run_all(*words, **changed)
        shown = found.scores["probe"].str.startswith("linear") & (found.scores["task"] != "donor")
        return replace(found, scores=found.scores[shown].reset_index(drop=True))

    return judged


@pytest.fixture
def codes(units):
    """Return the region of every observation, as a class code."""
    return units.obs["region"].cat.codes.to_numpy().astype(int)


@pytest.fixture
def relabel(units):
    """Assign other regions to the observations: class codes, -1 for none."""

    def relabelled(codes):
        changed = units.copy()
        names = units.obs["region"].cat.categories
        changed.obs["region"] = pd.Categorical.from_codes(codes, names)
        return changed

    return relabelled
