import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.spatial.checks import check


def test_micrometres_pass(units):
    check(units, 100.0)


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
        (one_unit, "tiny: section 'lone' has one unit, 'u7', which has no neighbours; drop it"),
        (same_place, "section 'A': 1 units lie where another one does, first 'u5' at .* of 'u3'"),
        (
            scaled(1 / 0.2),
            "section 'A': units of 100 um lie .* apart .* cannot be micrometres; ",
        ),
        (scaled(1e-3), "cannot be micrometres"),
    ],
)
def test_what_neighbours_cannot_be_read_from_is_refused(units, change, message):
    change(units)
    with pytest.raises(DataError, match=message):
        check(units, 100.0)


def test_units_in_the_same_place_of_different_sections_pass(units):
    units.obsm["spatial"][40] = units.obsm["spatial"][0]
    check(units, 100.0)
    assert np.array_equal(units.obsm["spatial"][40], units.obsm["spatial"][0])
