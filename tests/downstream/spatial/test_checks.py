import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.spatial.checks import check
from cell_synergy.downstream.spatial.graph import nearest_neighbours


def test_coordinates_in_micrometres_are_accepted(units):
    check(units, 100.0, views=False)


def one_unit(units):
    units.obs["section"] = units.obs["section"].astype(str)
    units.obs.loc["u7", "section"] = "lone"


def same_place(units):
    units.obsm["spatial"][5] = units.obsm["spatial"][3]


def scaled(factor):
    def change(units):
        units.obsm["spatial"] = factor * units.obsm["spatial"]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            one_unit,
            "section 'lone' has one observation, 'u7', which has no neighbours; drop it",
        ),
        (
            same_place,
            "'A': 1 observations have .* of another one, first 'u5' those of 'u3'",
        ),
        (
            scaled(1 / 0.2),
            "section 'A': observations of 100 um lie .* apart .* cannot be micrometres; ",
        ),
        (scaled(1e-3), "cannot be micrometres"),
        (
            scaled(0.31),
            "observations of 100 um lie 2.* apart .median., which cannot be",
        ),
        (
            scaled(1e250),
            "section 'A': an observation lies .*e.25. um from the origin, which no tissue",
        ),
    ],
)
def test_coordinates_without_usable_neighbours_are_refused(units, change, message):
    change(units)
    with pytest.raises(DataError, match=message):
        check(units, 100.0, views=False)


def test_units_in_the_same_place_of_different_sections_pass(units):
    units.obsm["spatial"][40] = units.obsm["spatial"][0]
    check(units, 100.0, views=False)
    assert np.array_equal(units.obsm["spatial"][40], units.obsm["spatial"][0])


def lattice(step):
    """Units of one section on a square lattice."""
    places = step * np.array([(i % 6, i // 6) for i in range(36)], dtype=float)
    obs = pd.DataFrame({"section": "S"}, index=[f"u{i}" for i in range(36)])
    units = ad.AnnData(np.zeros((36, 0), np.float32), obs=obs, obsm={"spatial": places})
    units.uns["source"] = "mine"
    return units


@pytest.mark.parametrize(
    ("step", "unit_um", "possible"),
    [
        (100, 100, True),  # patches side by side
        (100, 112, True),  # what the image shows of Visium's spots
        (100, 55, True),  # Visium's spots
        (200, 100, True),  # Spatial Transcriptomics
        (8, 8, True),  # bins of Visium HD
        (31, 100, False),  # pixels of a small image
        (31, 55, False),
        (5, 100, False),
        (400, 100, False),  # pixels of 0.25 um
        (16, 8, True),
        (32, 8, False),  # bins of 8 um in pixels of 0.25 um
    ],
)
@pytest.mark.parametrize("views", [True, False])
def test_an_array_lies_as_far_apart_as_its_spots_are_wide(step, unit_um, possible, views):
    if possible:
        check(lattice(step), float(unit_um), views=views)
        return
    with pytest.raises(DataError, match=f"section 'S': observations of {unit_um} um lie {step} a"):
        check(lattice(step), float(unit_um), views=views)


@pytest.mark.parametrize(
    ("spacing", "unit_um", "views", "possible"),
    [
        (5, 10, False, True),  # cells of a lymph node
        (12, 10, False, True),
        (1, 10, False, False),
        (31, 100, False, False),  # nothing of 100 um lies so close
        (8, 100, True, True),  # what the image shows around a cell
        (60, 10, False, False),
    ],
)
def test_cells_lie_anywhere_but_not_in_each_other(spacing, unit_um, views, possible):
    units = lattice(1)
    places = np.random.default_rng(0).uniform(0, 1, (36, 2))
    apart = np.median(nearest_neighbours(places, 1)[0])
    units.obsm["spatial"] = places * spacing / apart
    if possible:
        check(units, float(unit_um), views=views)
        return
    with pytest.raises(DataError, match="cannot be micrometres"):
        check(units, float(unit_um), views=views)
