import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.raw.sections.patches import gather_patches


@pytest.fixture
def table():
    """Return seven cells: three in patch 0x0, three in 1x0, one in the half patch at the right."""
    place = [[1, 1], [2, 9], [9, 2], [11, 1], [12, 2], [13, 3], [21, 1]]
    kinds = ["T", "T", "B", "B", "B", None, "T"]
    return ad.AnnData(
        sparse.csr_matrix(np.arange(14, dtype=np.float32).reshape(7, 2)),
        obs=pd.DataFrame(
            {"kind": kinds, "region": ["b", "a", None, None, None, None, "a"]},
            index=[f"c{i}" for i in range(7)],
        ),
        var=pd.DataFrame(index=["g1", "g2"]),
        obsm={"spatial": np.array(place, dtype=np.float64)},
    )


def test_whole_patches_have_sums_centres_majorities_and_shares(table):
    patches, cells = gather_patches(table, 10.0, (25.0, 10.0), 0.0, 1, "kind", "S")
    assert patches.obs_names.tolist() == ["0x0", "1x0"]  # the third is not whole
    np.testing.assert_array_equal(patches.X.toarray(), [[6, 9], [24, 27]])
    np.testing.assert_array_equal(patches.obsm["spatial"], [[5, 5], [15, 5]])
    assert patches.obs["kind"].tolist() == ["T", "B"]
    assert patches.obs["region"].tolist() == ["a", None]  # as frequent: the first by name
    ratio = patches.obsm["cell_type_ratio"]
    np.testing.assert_allclose(ratio.loc["0x0", ["B", "T"]], [1 / 3, 2 / 3])
    np.testing.assert_allclose(ratio.loc["1x0", ["B", "T"]], [1, 0])  # of cells with a type
    assert cells.obs["unit"].tolist() == ["0x0"] * 3 + ["1x0"] * 3
    np.testing.assert_array_equal(cells.X.toarray(), table.X.toarray()[:6])


def test_a_patch_with_too_few_cells_is_dropped_with_them(table):
    table = table[[0, 1, 3, 4, 5]].copy()
    patches, cells = gather_patches(table, 10.0, (20.0, 10.0), 0.0, 3, None, "S")
    assert patches.obs_names.tolist() == ["1x0"]
    assert cells.obs_names.tolist() == ["c3", "c4", "c5"]
    assert "cell_type_ratio" not in patches.obsm
    with pytest.raises(DataError, match=r"S: no patch of 10 um holds 4 of the 5 .*reader\.least"):
        gather_patches(table, 10.0, (20.0, 10.0), 0.0, 4, None, "S")


def test_a_patch_whose_cells_have_no_type_has_no_shares(table):
    table.obs["kind"] = ["T", "T", "B", None, None, None, None]
    patches, _ = gather_patches(table, 10.0, (20.0, 10.0), 0.0, 1, "kind", "S")
    assert patches.obsm["cell_type_ratio"].loc["1x0"].isna().all()
    assert patches.obs["kind"].tolist() == ["T", None]


def test_the_grid_can_begin_further_in(table):
    patches, cells = gather_patches(table, 10.0, (25.0, 15.0), 2.0, 1, "kind", "S")
    assert patches.obs_names.tolist() == ["0x0", "1x0"]
    np.testing.assert_array_equal(patches.obsm["spatial"], [[7, 7], [17, 7]])
    assert cells.obs["unit"].to_dict() == {"c1": "0x0", "c2": "0x0", "c4": "1x0", "c5": "1x0"}
