"""Spots, labels and neighbours of the real donors, from small files in the authors' layout."""

import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from benchmarks import real_bits as study


@pytest.fixture
def folder(tmp_path):
    """One labelled section of three spots: cancer, undetermined, and one without a row."""
    counts, labels = tmp_path / "data" / "ST-cnts", tmp_path / "data" / "ST-pat" / "lbl"
    counts.mkdir(parents=True)
    labels.mkdir(parents=True)
    with gzip.open(counts / "G2.tsv.gz", "wt") as file:
        file.write("\tGENE1\tGENE2\n10x11\t3\t0\n10x12\t0\t1\n13x12\t2\t2\n")
    rows = "Row.names\tx\ty\tlabel\na\t10.02\t10.98\tInvasive cancer \nb\t9.9\t12.1\tundetermined\n"
    (labels / "G2_labeled_coordinates.tsv").write_text(rows)
    return tmp_path


def test_labels_are_joined_to_counts_by_array_position(folder):
    section = study.section(folder, "G2")
    assert section.obs_names.tolist() == ["G2_10x11", "G2_10x12", "G2_13x12"]
    assert section.obs["region"].iloc[0] == "invasive cancer"
    assert section.obs["region"].isna().tolist() == [False, True, True]
    assert set(section.obs["donor"]) == {"G"}
    np.testing.assert_array_equal(section.obsm["spatial"], [[10, 11], [10, 12], [13, 12]])


def test_neighbours_are_of_the_same_section_and_never_the_spot_itself():
    spots = [(0, 0), (0, 1), (1, 1), (5, 5)]
    obs = pd.DataFrame({"section": ["A1"] * 4 + ["B1"] * 4}, index=[str(i) for i in range(8)])
    table = ad.AnnData(np.zeros((8, 1), dtype=np.float32), obs=obs)
    table.obsm["spatial"] = np.array(spots * 2, dtype=float)
    table.obsm["own"] = np.arange(8, dtype=np.float32)[:, None]
    means = study.neighbour_means(table)[:, 0]
    np.testing.assert_allclose(means[:3], [1.5, 1, 0.5])
    np.testing.assert_allclose(means[4:7], [5.5, 5, 4.5])
    assert np.isnan(means[[3, 7]]).all()
