import numpy as np

from cell_synergy.data.simulator import cells, states

SHAPE = (8, 8)


def _place(config):
    latent = states.sample(config, "test", states.stream(config, "states"))
    return latent, cells.place(config, SHAPE, latent, states.stream(config, "cells"))


def test_the_dominant_type_of_a_unit_is_most_of_its_cells(twin):
    config = twin()
    latent, placed = _place(config)
    ratio = cells.composition(placed, 64, config.cell_types)
    np.testing.assert_allclose(ratio.sum(axis=1), 1)
    own = ratio[np.arange(64), latent["shared_type"]]
    assert abs(own.mean() - config.purity) < 0.05
    assert (ratio.argmax(axis=1) == latent["shared_type"]).mean() > 0.85


def test_cells_lie_in_the_unit_they_are_counted_in(twin):
    config = twin()
    _, placed = _place(config)
    row, column = np.divmod(placed.unit, SHAPE[1])
    corner = config.margin_um + np.stack([column, row], axis=1) * config.pitch_um
    rest = (placed.position - corner)[placed.inside]
    assert rest.min() >= 0
    assert rest.max() < config.pitch_um


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
    again = cells.place(config, SHAPE, latent, states.stream(config, "cells"))
    np.testing.assert_array_equal(placed.position, again.position)
