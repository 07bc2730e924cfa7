import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import KDTree

from cell_synergy.downstream.spatial.graph import band_edges, band_radii, bands, nearest_neighbours

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/spatial_neighbours.json").read_text())


@pytest.fixture(scope="module")
def golden():
    return np.array(GOLDEN["spatial"]), np.array(GOLDEN["section"])


def hexagonal(side, pitch=100.0):
    row, column = (part.ravel() for part in np.mgrid[:side, :side])
    return pitch * np.column_stack([column + row % 2 / 2, row * np.sqrt(3) / 2])


def one(count, name="s"):
    return np.full(count, name)


def test_graphs_equal_those_of_squidpy(golden):
    spatial, section = golden
    wanted = GOLDEN["bands"]
    around = np.array([0.0, *(band["outer"] for band in wanted)])[:, None].repeat(len(spatial), 1)
    for band, expected in zip(bands(spatial, section, around), wanted, strict=True):
        found = band.graph.tocoo()
        assert np.array_equal(band.graph.toarray(), band.graph.toarray().T)
        up = found.row < found.col
        assert found.row[up].tolist() == expected["i"]
        assert found.col[up].tolist() == expected["j"]
        assert found.data[up] == pytest.approx(np.array(expected["distance"]), abs=1e-3)


def test_the_nearest_are_those_of_squidpy(golden):
    spatial, section = golden
    own = np.flatnonzero(section == "a")
    apart, which = nearest_neighbours(spatial[own], 5)
    expected = {tuple(pair) for pair in GOLDEN["nearest_5"]}
    found = {(own[i], own[j]) for i, row in enumerate(which) for j in row}
    assert found == expected
    between = spatial[own][which] - spatial[own][:, None]
    assert apart == pytest.approx(np.linalg.norm(between, axis=2))


def test_no_unit_is_its_own_neighbour_nor_one_of_another_section():
    spatial = np.tile(hexagonal(6), (2, 1))
    section = np.repeat(["a", "b"], 36)
    around = band_edges(spatial, section, [6, 18])
    for band in bands(spatial, section, around):
        graph = band.graph.tocoo()
        assert (section[graph.row] == section[graph.col]).all()
        assert (graph.row != graph.col).all()
        assert graph.data == pytest.approx(
            np.linalg.norm(spatial[graph.row] - spatial[graph.col], axis=1), abs=1e-3
        )
        assert (graph.data > band.inner_radius[graph.row]).all()
        assert (graph.data <= band.outer_radius[graph.row]).all()


def test_a_unit_of_a_hexagonal_array_has_six_neighbours_then_twelve_more():
    spatial = hexagonal(30)
    around = band_edges(spatial, one(900), [6, 18])
    assert around[:, 0] == pytest.approx([0, 100, 200], rel=2e-3)
    inside = (abs(spatial - spatial.mean(axis=0)) < 1000).all(axis=1)
    degrees = [band.degree[inside] for band in bands(spatial, one(900), around)]
    assert (degrees[0] == 6).all()
    assert (degrees[1] == 12).all()


@pytest.mark.parametrize("units", [800, 6000])  # all are counted, or a sample
def test_bands_of_scattered_units_hold_the_counts(units):
    spatial = np.random.default_rng(0).uniform(0, 1000, (units, 2))
    counts = [8, 16, 32, 64]
    found = bands(spatial, one(units), band_edges(spatial, one(units), counts))
    degree = [band.degree.mean() for band in found]
    assert np.cumsum(degree) == pytest.approx(counts, rel=0.01)


def test_radii_are_of_each_section_and_scale_with_its_spacing():
    spatial = np.concatenate([hexagonal(12), hexagonal(12, pitch=250.0)])
    around = band_edges(spatial, np.repeat(["fine", "coarse"], 144), [6, 18, 36])
    assert around[:, 144:] == pytest.approx(2.5 * around[:, :144])


def test_a_section_too_small_for_a_band_has_none():
    spatial = np.concatenate([hexagonal(3), hexagonal(12)])
    section = np.repeat(["small", "large"], [9, 144])
    around = band_edges(spatial, section, [6, 18])
    assert np.isnan(around[2, :9]).all()
    assert np.isfinite(around[:, 9:]).all()
    near, far = bands(spatial, section, around)
    assert near.degree[:9].sum() > 0
    assert far.degree[:9].sum() == 0
    assert far.degree[9:].min() > 0


def test_the_order_of_units_does_not_matter():
    random = np.random.default_rng(1)
    spatial, section = random.uniform(0, 500, (300, 2)), np.repeat(["a", "b", "c"], 100)
    mixed = random.permutation(300)
    around = band_edges(spatial, section, [8, 16])
    assert np.array_equal(band_edges(spatial[mixed], section[mixed], [8, 16]), around[:, mixed])
    pairs = zip(
        bands(spatial, section, around),
        bands(spatial[mixed], section[mixed], around[:, mixed]),
        strict=True,
    )
    for plain, other in pairs:
        assert np.array_equal(plain.graph.toarray()[mixed][:, mixed], other.graph.toarray())


def test_memory_is_that_of_neighbours_not_of_all_pairs():
    spatial = np.random.default_rng(2).uniform(0, 1000, (20_000, 2))
    tracemalloc.start()
    bands(spatial, one(20_000), band_edges(spatial, one(20_000), [8, 16]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000 * 16 * 100  # all pairs: 3.2e9


def test_units_as_near_as_rounding_allows_are_in_the_band():
    spatial = hexagonal(12) * (1 + 1e-7)
    tree = KDTree(spatial)
    assert band_radii(tree, [6])[0] > 100 * (1 + 1e-7)
