import numpy as np
import pytest

from cell_synergy.raw.simulator import cells, states


def _place(config):
    latent = states.sample(config, "test", states.stream(config, "states"))
    stream = states.stream(config, "cells")
    return latent, cells.place(config, config.lattice("test"), latent, stream)


def test_the_dominant_type_of_a_unit_is_most_of_its_cells(twin):
    config = twin()
    latent, placed = _place(config)
    count = cells.tally(placed, 64, config.cell_types)
    assert count.sum() == placed.inside.sum()
    ratio = count / count.sum(axis=1, keepdims=True)
    own = ratio[np.arange(64), latent["shared_type"]]
    assert abs(own.mean() - config.purity) < 0.05
    assert (ratio.argmax(axis=1) == latent["shared_type"]).mean() > 0.85


@pytest.mark.parametrize("platform", ["xenium", "visium"])
def test_cells_lie_in_the_unit_they_are_counted_in(twin, platform):
    config = twin(platform=platform)
    _, placed = _place(config)
    offset = (placed.position - config.lattice("test").centres[placed.unit])[placed.inside]
    half = config.pitch_um / 2
    reach = half if platform == "xenium" else half * 2 / np.sqrt(3)  # a hexagon's corner
    assert np.abs(offset[:, 0]).max() <= half
    assert half * 0.95 < np.abs(offset[:, 1]).max() <= reach
    assert (~placed.inside).sum() > 100  # the margin has cells too


def test_denser_regions_hold_more_cells(twin):
    config = twin()
    latent, placed = _place(config)
    count = np.bincount(placed.unit[placed.inside], minlength=64)
    mean = [count[latent["shared_region"] == level].mean() for level in range(3)]
    np.testing.assert_allclose(mean, config.cells * np.array(cells.DENSITY), rtol=0.1)


def test_the_look_of_nuclei_does_not_move_cells(twin):
    config = twin()
    latent, placed = _place(config)
    latent["image_nuclei"] = 1 - latent["image_nuclei"]
    stream = states.stream(config, "cells")
    again = cells.place(config, config.lattice("test"), latent, stream)
    np.testing.assert_array_equal(placed.position, again.position)
