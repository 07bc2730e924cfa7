from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.raw.images import image_size
from cell_synergy.raw.sections.section import Section, check_section

SOURCE = Path("S1.h5ad")
SIZE = (100, 50)


@pytest.fixture
def section():
    counts = ad.AnnData(
        sparse.csr_matrix(np.array([[1, 0], [0, 2], [3, 0]], dtype=np.float32)),
        obs=pd.DataFrame(index=["u1", "u2", "u3"]),
        var=pd.DataFrame(index=["ACTB", "GAPDH"]),
        obsm={"spatial": np.array([[0.0, 0.0], [50.0, 25.0], [20.0, 10.0]])},
    )
    return Section("S1", "D1", counts, Path("S1.png"), 0.5)


def test_a_right_section_passes_with_units_on_the_border_of_the_image(section):
    check_section(section, SOURCE)
    check_section(replace(section, image=None, mpp=None), SOURCE)


def test_without_an_image_no_place_is_outside(section):
    section.adata.obsm["spatial"][1] = (1e6, 1e6)
    check_section(replace(section, image=None, mpp=None), SOURCE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.5])
def test_counts_that_are_none_are_named_with_gene_and_unit(section, value):
    section.adata.X[1, 1] = value
    with pytest.raises(DataError, match=r"1 counts .*gene 'GAPDH' in observation 'u2'.*raw counts"):
        check_section(section, SOURCE)


def test_the_unit_of_a_wrong_count_is_found_past_empty_units(section):
    section.adata.X = sparse.csr_matrix(np.array([[0, 0], [0, 0], [0, 0.5]], dtype=np.float32))
    with pytest.raises(DataError, match="gene 'GAPDH' in observation 'u3'"):
        check_section(section, SOURCE)


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.parametrize(
    ("axis", "names", "message"),
    [
        ("obs_names", ["u1", "u2", "u1"], "1 observation names occur more than once .*'u1'"),
        ("var_names", ["ACTB", "ACTB"], "1 gene names occur more than once .*'ACTB'"),
    ],
)
def test_names_that_repeat_are_named(section, axis, names, message):
    setattr(section.adata, axis, names)
    with pytest.raises(DataError, match=message):
        check_section(section, SOURCE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_places_that_are_not_finite_are_named(section, value):
    section.adata.obsm["spatial"][2, 1] = value
    with pytest.raises(DataError, match=r"obsm.'spatial'. is not finite for 1 .*'u3'"):
        check_section(section, SOURCE)


def test_three_coordinates_are_refused(section):
    section.adata.obsm["spatial"] = np.zeros((3, 3))
    with pytest.raises(DataError, match=r"shape \(3, 3\).*x and y"):
        check_section(section, SOURCE)


def test_units_at_one_place_are_refused(section):
    section.adata.obsm["spatial"] = np.full((3, 2), 7.0)
    with pytest.raises(DataError, match="section S1: all 3 observations have the same coordinates"):
        check_section(section, SOURCE)
    check_section(replace(section, adata=section.adata[:1].copy()), SOURCE)


@pytest.mark.parametrize(("value", "message"), [
    (2.0**24, "a count of 16777216 is not a count of molecules"),
    (2.0**31, "a count of 2147483648 is not a count of molecules"),
])  # fmt: skip
def test_counts_beyond_what_is_exact_are_refused(section, value, message):
    section.adata.X[1, 1] = value
    with pytest.raises(DataError, match=message):
        check_section(section, SOURCE)
    section.adata.X[1, 1] = 2.0**24 - 1
    check_section(section, SOURCE)


def test_counts_of_nothing_are_refused(section):
    with pytest.raises(DataError, match="section S1: no genes; leave the section out"):
        check_section(replace(section, adata=section.adata[:, :0].copy()), SOURCE)
    section.adata.X = sparse.csr_matrix(np.zeros((3, 2), dtype=np.float32))
    with pytest.raises(DataError, match="section S1: all counts are 0; give raw counts"):
        check_section(section, SOURCE)


@pytest.mark.parametrize("name", ["", " "])
def test_empty_names_are_refused(section, name):
    section.adata.var_names = ["ACTB", name]
    with pytest.raises(DataError, match="1 gene names are empty; name every gene"):
        check_section(section, SOURCE)
    section.adata.var_names = ["nan", "NA"]
    check_section(section, SOURCE)


def test_an_empty_donor_and_an_empty_section_are_refused(section):
    with pytest.raises(DataError, match="the donor is empty"):
        check_section(replace(section, donor=" "), SOURCE)
    with pytest.raises(DataError, match="no observations"):
        check_section(replace(section, adata=section.adata[:0].copy()), SOURCE)


def test_unknown_proportions_are_a_whole_empty_row(section):
    ratio = pd.DataFrame(
        {"T": [1.0, np.nan, 0.5], "B": [0.0, np.nan, 0.5]}, section.adata.obs_names
    )
    section.adata.obsm["cell_type_ratio"] = ratio
    check_section(section, SOURCE)
    for value in (np.nan, -0.1):
        wrong = ratio.copy()
        wrong.loc["u3", "B"] = value
        section.adata.obsm["cell_type_ratio"] = wrong
        with pytest.raises(DataError, match=r"of 1 of 3 observations are (missing|negative).*'u3'"):
            check_section(section, SOURCE)
    section.adata.obsm["cell_type_ratio"] = ratio.to_numpy()
    with pytest.raises(DataError, match="array without names"):
        check_section(section, SOURCE)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_an_image_says_its_width_and_height(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", SIZE).save(path)
    assert image_size(path) == SIZE


def test_a_pyramid_has_the_size_of_its_first_level(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tiff:
        tiff.write(np.zeros((50, 100, 3), np.uint8), photometric="rgb", subifds=1)
        tiff.write(np.zeros((25, 50, 3), np.uint8), photometric="rgb", subfiletype=1)
    assert image_size(tmp_path / "a.ome.tif") == SIZE


def test_the_size_of_a_slide_needs_no_decoding(tmp_path):
    # 400 megapixels: `PIL.Image.open` refuses these. Only the header is written.
    jpeg = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(jpeg)
    data = bytearray(jpeg.read_bytes())
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = (20_000).to_bytes(2, "big") * 2
    jpeg.write_bytes(data)
    assert image_size(jpeg) == (20_000, 20_000)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_file_that_is_no_image_is_named(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"no image at all")
    with pytest.raises(DataError, match=rf"a\{suffix}: is text, not an image"):
        image_size(tmp_path / f"a{suffix}")
    with pytest.raises(DataError, match="no such image"):
        image_size(tmp_path / f"b{suffix}")
