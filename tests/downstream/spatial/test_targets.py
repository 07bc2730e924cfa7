from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.spatial.graph import bands
from cell_synergy.downstream.spatial.targets import band_targets, composition, majority


def band(spatial, outer):
    """Return the units up to `outer` away, of one section."""
    around = np.array([[0.0], [outer]]).repeat(len(spatial), axis=1)
    return bands(spatial, np.full(len(spatial), "s"), around)[0]


@pytest.fixture
def line():
    """Five units, one apart."""
    return np.column_stack([np.arange(5.0), np.zeros(5)])


def test_the_majority_is_that_of_the_neighbours_without_the_centre(line):
    codes = np.array([0, 1, 1, 0, 0])
    assert majority(codes, 2, band(line, 4.5)).tolist() == [1, 0, 0, 1, 0]
    other = codes.copy()
    other[2] = 0
    assert majority(other, 2, band(line, 4.5))[2] == majority(codes, 2, band(line, 4.5))[2]


def test_neighbours_without_a_label_do_not_count(line):
    codes = np.array([-1, 0, -1, -1, -1])
    assert majority(codes, 2, band(line, 1.5)).tolist() == [0, -1, 0, -1, -1]


def test_of_equally_frequent_classes_the_nearer_is_taken_and_then_the_first():
    spatial = np.array([[0.0, 0.0], [10.0, 0.0], [-20.0, 0.0]])
    assert majority(np.array([-1, 1, 0]), 2, band(spatial, 25.0))[0] == 1
    spatial[2, 0] = -10
    assert majority(np.array([-1, 1, 0]), 2, band(spatial, 25.0))[0] == 0


def test_the_composition_is_the_mean_of_the_neighbours(line):
    shares = np.array([[1, 0], [0, 1], [np.nan, np.nan], [0.5, 0.5], [np.nan, np.nan]])
    found = composition(shares, band(line, 1.5))
    assert found[[0, 2, 4]] == pytest.approx(np.array([[0, 1], [0.25, 0.75], [0.5, 0.5]]))
    assert found[1] == pytest.approx([1, 0])  # the other neighbour has none
    alone = np.concatenate([line, [[99.0, 0.0]]])
    assert np.isnan(composition(np.ones((6, 1)), band(alone, 1.5))[5]).all()


@pytest.fixture
def asked(units, make_tissue, make_dataset):
    """Return what all tasks ask of the neighbours up to 250 micrometres away."""

    def ask(least=1, changed=units, **settings):
        dataset = make_dataset(**settings)
        paired = replace(make_tissue(units, dataset), adata=changed)
        section = changed.obs["section"].astype(str).to_numpy()
        around = np.array([[0.0], [250.0]]).repeat(len(section), axis=1)
        found = band_targets(
            paired, dataset.tasks, bands(changed.obsm["spatial"], section, around), least
        )
        return {target.task: target for target in found}

    return ask


def test_targets_are_labels_and_compositions_of_the_neighbours(asked, units):
    found = asked()
    assert set(found) == {"region", "composition"}
    region, ratio = found["region"], found["composition"]
    assert region.target.name == "neighbours region 1"
    codes = units.obs["region"].cat.codes.to_numpy().astype(np.int64)
    assert np.array_equal(region.target.codes, majority(codes, 3, region.band))
    assert np.array_equal(region.target.labelled, region.target.codes >= 0)
    shares = units.obsm["cell_type_ratio"].to_numpy()
    assert ratio.target.outputs == pytest.approx(composition(shares, ratio.band), nan_ok=True)


def test_compositions_are_scaled_per_donor_where_embeddings_are(asked, units):
    target = asked(standardise="donor")["composition"].target
    for donor in "ABCD":
        own = target.outputs[(units.obs["donor"] == donor).to_numpy() & target.labelled]
        assert own.mean(axis=0) == pytest.approx(0, abs=1e-5)
        assert own.std(axis=0) == pytest.approx(1, abs=1e-5)


def test_a_donor_with_too_few_units_has_no_labels(asked, units, relabel):
    codes = units.obs["region"].cat.codes.to_numpy().astype(int)
    first = (units.obs["donor"] == "A").to_numpy()
    few = np.where(first & (np.arange(len(codes)) > 0), -1, codes)
    count = asked(changed=relabel(few))["region"].target.labelled[first].sum()
    assert count > 0
    target = asked(changed=relabel(few), least=int(count) + 1)["region"].target
    assert not target.labelled[first].any()
    assert (target.codes[first] == -1).all()
    assert target.labelled[~first].mean() > 0.9


def test_a_missing_composition_is_named(asked, units):
    del units.obsm["cell_type_ratio"]
    with pytest.raises(DataError, match="task 'composition' but no obsm"):
        asked()


def test_classes_keep_their_names(asked):
    assert asked()["region"].target.classes == ("core", "edge", "rim")
    assert isinstance(asked()["region"].band.outer_radius, np.ndarray)
    assert pd.unique(asked()["region"].band.outer_radius).tolist() == [250.0]
