import gc
import os
import signal
from pathlib import Path

# Also for numba: its first loop, which is scanpy's, would give torch as many threads as cores.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import anndata as ad
import jaxtyping
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cell_synergy.data.config import DatasetConfig
from cell_synergy.downstream.probes.config import MLPConfig, ProbeConfig
from cell_synergy.raw import build
from cell_synergy.raw.images import TissueConfig
from cell_synergy.raw.sections.section import Section

DATASET = {
    "source": "manifest",
    "reader": "h5ad",
    "unit_um": 50.0,
    "standardise": "donor",
    "split": "leave-one-donor-out",
    "tasks": {"region": {"kind": "classification", "exclude": ["fold"]}},
    "roles": {"study": ["A", "B"], "reference": ["R"]},
}


def pytest_collection():
    """Import the tests without collecting garbage: there is none, and looking takes seconds."""
    gc.disable()


def pytest_collection_finish():
    """Collect garbage from here on, and never look again at what was imported."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _interrupts():
    """Let what tests start be interrupted, also where a shell runs pytest in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def any_shape():
    """Switch the shape checker off, which CI has on, so that our own refusal of a shape is seen."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", value=True)
    yield
    jaxtyping.config.update("jaxtyping_disable", value=before)


@pytest.fixture
def dataset():
    """Return a function that makes the settings of a data set, with changes."""
    return lambda **changes: DatasetConfig.model_validate({**DATASET, **changes})


@pytest.fixture
def rule():
    return TissueConfig(field_um=8.0, white=0.9, black=0.05, least=0.25)


@pytest.fixture
def rules(rule):
    """Return what becomes a pair: nothing is refused but what no threshold allows."""
    return build.PairsConfig(
        **rule.model_dump(), class_units=10, class_donors=2, panel_share=0.1, outside=0.05,
        off_tissue=0.5, few_px=4, least_px=2, shared_genes=0.5,
    )  # fmt: skip


@pytest.fixture
def section():
    """Return a function that makes one section of random counts, all in a region of two halves."""

    def make(name, donor, genes="g0 g1 g2 g3", units=24, image=None, mpp=None):
        rng = np.random.default_rng([ord(letter) for letter in name])
        names = genes.split()
        obs = pd.DataFrame({"region": ["core", "rim"] * (units // 2)})
        counts = ad.AnnData(
            sparse.csr_matrix(rng.poisson(3.0, (units, len(names))).astype(np.float32)),
            obs=obs.set_index(pd.Index([f"u{i}" for i in range(units)])),
            var=pd.DataFrame(index=names),
            obsm={"spatial": rng.uniform(10, 50, (units, 2))},
        )
        return Section(name, donor, counts, image and Path(image), mpp)

    return make


@pytest.fixture
def units():
    """Return a function that makes pairs with three programmes and the last genes as panel."""

    def make(count, genes, panel=0, seed=0):
        rng = np.random.default_rng(seed)
        rate = np.exp(rng.normal(0, 0.7, (count, 3)) @ rng.normal(0, 0.7, (3, genes)))
        found = ad.AnnData(
            sparse.csr_matrix(rng.poisson(5 * rate).astype(np.float32)),
            obs=pd.DataFrame(index=[f"u{i}" for i in range(count)]),
            var=pd.DataFrame(
                {"panel": np.arange(genes) >= genes - panel},
                index=[f"g{i}" for i in range(genes)],
            ),
            obsm={"spatial": rng.uniform(0, 100, (count, 2))},
            uns={"source": "lab"},
        )
        found.obs[["donor", "section"]] = "A", "A1"
        return found

    return make


@pytest.fixture
def probe():
    """Three penalties, chosen by two inner folds, and a quick nonlinear probe."""
    mlp = MLPConfig(
        starts=2, hidden=4, axes=8, powers=2, epochs=3, batches=4, lr=0.02, weakest=0.1,
        strongest=1.0, strengths=2,
    )  # fmt: skip
    return ProbeConfig(
        weakest=0.01, strongest=1.0, strengths=3, block_steps=1, inner_folds=2, tolerance=1e-5,
        iterations=200, mlp=mlp,
    )  # fmt: skip


@pytest.fixture
def results():
    """The example of the published README, with a model that loses and one that has F1 only."""
    return {
        "Unimodal GEX": {"F1 Macro": [0.75], "R2": [0.68]},
        "Unimodal IMG": {"F1 Macro": [0.70, 0.74], "R2": [0.65]},
        "Multimodal A": {"F1 Macro": [0.80, 0.84], "R2": [0.75]},
        "Multimodal B": {"F1 Macro": [0.60], "R2": [0.70]},
        "Multimodal C": {"F1 Macro": [0.76]},
    }
