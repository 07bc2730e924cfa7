"""A section of the reader `h5ad`."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse

from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw import readers

DATASET = DatasetConfig.model_validate(
    {
        "source": {"kind": "folder", "folder": "mine"}, "reader": "h5ad", "unit_um": 100.0,
        "standardise": "train", "split": "leave-one-donor-out", "tasks": {}, "roles": {},
    }
)  # fmt: skip


@pytest.fixture
def table():
    counts = np.array([[1, 0], [0, 2], [3, 0], [0, 0]], dtype=np.int64)
    return ad.AnnData(
        sparse.csr_matrix(counts),
        obs=pd.DataFrame(
            {"donor": "D1", "region": pd.Categorical(["a", "b", "a", "b"])},
            index=["u1", "u2", "u3", "u4"],
        ),
        var=pd.DataFrame(index=["ACTB", "GAPDH"]),
        obsm={"spatial": np.array([[10, 5], [90, 40], [50, 20], [0, 50]])},
        uns={"mpp": 0.5},
    )


@pytest.fixture
def write(tmp_path):
    def _write(table, stem="S1", suffix=".png"):
        table.write_h5ad(tmp_path / f"{stem}.h5ad")
        if suffix:
            Image.new("RGB", (100, 50)).save(tmp_path / f"{stem}{suffix}")

    return _write


def read_own(folder):
    return list(readers.read(folder, DATASET))
