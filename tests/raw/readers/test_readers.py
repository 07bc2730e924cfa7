from pathlib import Path

import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.data import paired
from cell_synergy.raw import readers
from cell_synergy.raw.user_folder import record_folder
from tests.raw import native, variants


def test_the_image_of_sections_that_stay_in_their_place_is_a_whole_path(tmp_path, make_dataset):
    own, raw = tmp_path / "own", tmp_path / "raw"
    native.xenium(own / "A1")
    config = make_dataset("xenium", "cells")
    assert str(native.one(own, config).image) == "A1/section_he_image.ome.tif"
    record_folder(own, config, raw)
    section = native.one(raw, config)
    assert section.image == own / "A1/section_he_image.ome.tif"
    assert raw / section.image == section.image  # as stages join them


def test_an_unknown_reader_is_refused_with_the_nearest(tmp_path, dataset):
    assert {"h5ad", "hest", "visium", "visium_hd", "xenium"} <= set(readers.names())
    with pytest.raises(DataError, match=r"no reader 'xenum' \(did you mean 'xenium'"):
        readers.read(tmp_path, dataset(reader="xenum"))


@pytest.mark.parametrize(("reader", "units"), variants.ALL)
def test_pairs_of_each_platform_come_back_from_their_file(plain_pairs, tmp_path, reader, units):
    _, made = plain_pairs(reader, units)
    back = []
    for i, table in enumerate(made):
        paired.write(tmp_path / f"{i}.h5ad", table)
        back.append(paired.read(tmp_path / f"{i}.h5ad"))
    variants.same(back, made)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
FETCHED = {
    "visium": ("outs/filtered_feature_bc_matrix.h5", "outs/spatial/tissue_positions.csv"),
    "visium_hd": (
        "binned_outputs/square_008um/filtered_feature_bc_matrix.h5",
        "binned_outputs/square_008um/spatial/tissue_positions.parquet",
        "binned_outputs/square_008um/spatial/scalefactors_json.json",
    ),
    "xenium": (
        "cell_feature_matrix.h5", "cells.parquet", "experiment.xenium",
        "section_he_imagealignment.csv",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "file"), [(reader, file) for reader, files in FETCHED.items() for file in files]
)
@pytest.mark.parametrize(
    ("content", "message"),
    [(POINTER, "is a pointer of Git LFS, .*run `git lfs pull`"), ("<html>", "is a web page, not")],
)
def test_a_file_that_was_not_fetched_is_told_for_what_it_is(
    tmp_path, make_dataset, reader, file, content, message
):
    getattr(native, reader)(tmp_path / "A1")
    assert (tmp_path / "A1" / file).is_file()
    (tmp_path / "A1" / file).write_text(content)
    units = "cells" if reader == "xenium" else "spots"
    with pytest.raises(DataError, match=rf"{Path(file).name}: {message}"):
        native.one(tmp_path, make_dataset(reader, units))


@pytest.mark.parametrize(
    "file", ["st/A1.h5ad", "metadata/A1.json", "transcripts/A1_transcripts.parquet", "wsis/A1.tif"]
)
def test_a_file_of_hest_that_was_not_fetched_is_told_for_what_it_is(tmp_path, make_dataset, file):
    native.hest(tmp_path, "A1")
    (tmp_path / file).write_text(POINTER)
    with pytest.raises(DataError, match=rf"{Path(file).name}: .*pointer of Git LFS"):
        native.one(tmp_path, make_dataset("hest", "spots" if file.startswith("st") else "cells"))
