import numpy as np
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.raw.sections.pixel_size import array_spacing, check_pitch

RNG = np.random.default_rng(0)


def hexagonal(pitch, side=30):
    row, column = (part.ravel() for part in np.mgrid[:side, : 2 * side])
    here = (row + column) % 2 == 0
    return np.column_stack([column / 2, row * np.sqrt(3) / 2])[here] * pitch


def square(pitch, side=30):
    return np.argwhere(np.ones((side, side))) * float(pitch)


def thinned(coords, share):
    return coords[RNG.random(len(coords)) < share]


@pytest.mark.parametrize("turn", [0.0, 0.4])
@pytest.mark.parametrize("pitch", [8.0, 100.0, 200.0])
def test_the_spacing_of_an_array_is_its_pitch(turn, pitch):
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    for coords in (hexagonal(pitch), square(pitch), thinned(square(pitch), 0.6)):
        assert array_spacing(coords @ turned + 77) == pytest.approx(pitch)


def test_the_spacing_does_not_hang_on_pixels_or_a_place_that_is_not_finite():
    coords = np.round(hexagonal(100.0) / 4) * 4  # micrometres, in pixels of 4
    coords[7] = np.nan
    assert array_spacing(coords) == pytest.approx(100, rel=0.05)


def test_cells_and_a_few_spots_have_no_spacing():
    assert array_spacing(RNG.uniform(0, 1000, (2000, 2))) is None
    assert array_spacing(square(100.0, 4)) is None
    assert array_spacing(np.zeros((50, 2))) is None


RIGHT = {  # places, unit_um
    "Visium by its pitch": (hexagonal(100.0), 100.0),
    "Visium by its spots": (hexagonal(100.0), 55.0),
    "Visium with holes": (thinned(hexagonal(100.0), 0.4), 55.0),
    "fields of 112 um": (hexagonal(100.0), 112.0),
    "Spatial Transcriptomics": (square(200.0), 100.0),
    "a few of its spots": (thinned(square(200.0), 0.1), 100.0),
    "registered by hand": (square(200.0) + RNG.normal(0, 6, (900, 2)), 100.0),
    "Visium HD": (square(8.0), 8.0),
    "DBiT-seq": (square(20.0), 10.0),
    "cells": (RNG.uniform(0, 500, (3000, 2)), 20.0),
    "regions drawn by hand": (RNG.uniform(0, 20_000, (60, 2)), 300.0),
}


@pytest.mark.parametrize("name", RIGHT)
def test_spots_that_platforms_have_pass(name):
    check_pitch(*RIGHT[name], "file")


@pytest.mark.parametrize("scale", [0.25, 0.584, 0.7, 3.0, 10.0])
def test_a_scale_that_contradicts_the_size_of_spots_is_refused(scale):
    message = rf"S3\.json: neighbouring spots lie {100 * scale:.4g} um apart, .* unit_um 100 cannot"
    with pytest.raises(DataError, match=message):
        check_pitch(hexagonal(100.0) * scale, 100.0, "S3.json")


@pytest.mark.parametrize("scale", [0.5, 0.85, 1.15, 2.0])
def test_a_pitch_that_the_platform_fixes_is_met(scale):
    check_pitch(square(8.0), 8.0, "file", pitch_um=8.0)
    with pytest.raises(DataError, match=rf"{8 * scale:.4g} um apart, on this platform .* 8 um"):
        check_pitch(square(8.0) * scale, 8.0, "file", pitch_um=8.0)
