import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.data import readers
from cell_synergy.data.folder import record_folder
from tests.data import native


def test_the_image_of_sections_that_stay_in_their_place_is_a_whole_path(tmp_path, ask):
    own, raw = tmp_path / "own", tmp_path / "raw"
    native.xenium(own / "A1")
    asked = ask("xenium", "cells")
    assert str(native.one(own, asked).image) == "A1/section_he_image.ome.tif"
    record_folder(own, asked, raw)
    section = native.one(raw, asked)
    assert section.image == own / "A1/section_he_image.ome.tif"
    assert raw / section.image == section.image  # as stages join them


def test_an_unknown_reader_is_refused_with_the_nearest(tmp_path, dataset):
    assert {"h5ad", "hest", "visium", "visium_hd", "xenium"} <= set(readers.names())
    with pytest.raises(DataError, match=r"no reader 'xenum' \(did you mean 'xenium'"):
        readers.read(tmp_path, dataset(reader="xenum"))
