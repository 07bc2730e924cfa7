import numpy as np
import pytest

from cell_synergy.raw.simulator import cells, states


def _sample(config):
    latent = states.sample(config, "test", states.stream(config, "states"))
    stream = states.stream(config, "cells")
    return latent, cells.sample(config, config.lattice("test"), latent, stream)


def test_the_dominant_type_of_an_observation_is_most_of_its_cells(simulator):
    config = simulator()
    latent, placed = _sample(config)
    count = cells.count_types(placed, 64, config.cell_types)
    assert count.sum() == placed.inside.sum()
    ratio = count / count.sum(axis=1, keepdims=True)
    dominant = ratio[np.arange(64), latent["shared_type"]]
    assert abs(dominant.mean() - config.purity) < 0.05
    assert (ratio.argmax(axis=1) == latent["shared_type"]).mean() > 0.85


@pytest.mark.parametrize("platform", ["xenium", "visium"])
def test_cells_lie_in_the_observation_that_counts_them(simulator, platform):
    config = simulator(platform=platform)
    _, placed = _sample(config)
    offset = (placed.coords - config.lattice("test").centres[placed.obs_index])[placed.inside]
    half = config.pitch_um / 2
    reach = half if platform == "xenium" else half * 2 / np.sqrt(3)  # a hexagon's corner
    assert np.abs(offset[:, 0]).max() <= half
    assert half * 0.95 < np.abs(offset[:, 1]).max() <= reach
    assert (~placed.inside).sum() > 100  # the margin has cells too


def test_denser_regions_have_more_cells(simulator):
    config = simulator()
    latent, placed = _sample(config)
    count = np.bincount(placed.obs_index[placed.inside], minlength=64)
    mean = [count[latent["shared_region"] == level].mean() for level in range(3)]
    np.testing.assert_allclose(mean, config.cells * np.array(cells.DENSITY), rtol=0.1)


def test_the_appearance_of_nuclei_does_not_move_cells(simulator):
    config = simulator()
    latent, placed = _sample(config)
    latent["image_nuclei"] = 1 - latent["image_nuclei"]
    stream = states.stream(config, "cells")
    again = cells.sample(config, config.lattice("test"), latent, stream)
    np.testing.assert_array_equal(placed.coords, again.coords)
