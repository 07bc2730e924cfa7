import numpy as np
import pytest
from scipy.spatial import cKDTree

from cell_synergy.raw.simulator.lattice import Lattice


@pytest.fixture(params=[False, True], ids=["square", "hexagonal"])
def lattice(request):
    return Lattice(7, 9, 100.0, 40.0, request.param)


def test_observations_are_a_pitch_apart_and_lie_inside_the_margin(lattice):
    centres = lattice.centres
    assert len(centres) == lattice.n_obs == 63
    distance, _ = cKDTree(centres).query(centres, k=[2])
    np.testing.assert_allclose(distance, 100)
    assert (centres.min(axis=0) >= 40 + lattice.row_pitch / 2 - 1e-9).all()
    assert (centres.max(axis=0) <= lattice.extent - 40 - lattice.row_pitch / 2 + 1e-9).all()


def test_points_are_assigned_to_the_nearest_observation(lattice):
    points = np.random.default_rng(0).uniform(0, lattice.extent, (5000, 2))
    expected = cKDTree(lattice.centres).query(points)[1]
    np.testing.assert_array_equal(lattice.nearest(points), expected)


def test_observations_fill_their_share_of_the_tissue(lattice):
    points = np.random.default_rng(0).uniform(0, lattice.extent, (200_000, 2))
    inside = lattice.inside(points, lattice.nearest(points))
    area = inside.mean() * lattice.extent.prod()
    assert area == pytest.approx(lattice.n_obs * 100 * lattice.row_pitch, rel=0.01)


def test_hexagonal_grid_indices_are_those_of_visium(lattice):
    row, column = lattice.grid_index.T
    if lattice.hexagonal:
        assert ((row + column) % 2 == 0).all()
        np.testing.assert_allclose(np.ptp(lattice.centres[column == 2, 0]), 0)
    else:
        np.testing.assert_array_equal(row * 9 + column, np.arange(63))


def test_a_field_is_correlated_by_its_kernel_on_both_lattices():
    for hexagonal in (False, True):
        lattice = Lattice(40, 40, 100.0, 40.0, hexagonal)
        rng = np.random.default_rng(0)
        fields = np.stack([lattice.gaussian_field(rng, 150.0) for _ in range(40)], axis=1)
        np.testing.assert_allclose(fields.std(axis=0), 1)
        middle = 20 * 40 + 20
        offset = lattice.centres - lattice.centres[middle]
        correlation = (fields * fields[middle]).mean(axis=1) / (fields[middle] ** 2).mean()
        distance = np.hypot(*offset.T)
        expected = np.exp(-(distance**2) / (4 * 150.0**2))
        near = distance < 350
        assert np.abs(correlation - expected)[near].mean() < 0.15
        across, down = (near & (np.abs(offset[:, axis]) < 60) for axis in (1, 0))
        assert abs(correlation[across].mean() - correlation[down].mean()) < 0.2
