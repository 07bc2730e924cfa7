import anndata as ad
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.raw import readers
from tests.raw.readers.conftest import DATASET, read_own


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".tif", ".tiff", ".ome.tif", ".PNG"])
def test_a_section_is_read_with_its_image_and_places_in_micrometres(tmp_path, table, write, suffix):
    write(table, suffix=suffix)
    (section,) = read_own(tmp_path)
    assert (section.name, section.donor, section.mpp) == ("S1", "D1", 0.5)
    assert section.image is not None
    assert (tmp_path / section.image).name == f"S1{suffix}"
    np.testing.assert_allclose(section.adata.obsm["spatial"], table.obsm["spatial"] * 0.5)
    assert section.adata.X.dtype == np.float32
    assert isinstance(section.adata.X, sparse.csr_matrix)
    np.testing.assert_array_equal(section.adata.X.toarray(), table.X.toarray())
    assert section.adata.obs["region"].to_list() == ["a", "b", "a", "b"]


def test_composition_is_passed_on(tmp_path, table, write):
    share = np.array([1.0, 0.5, 0.0, 0.2])
    ratio = pd.DataFrame({"T": share, "B": 1 - share}, index=table.obs_names)
    table.obsm["cell_type_ratio"] = ratio
    write(table)
    (section,) = read_own(tmp_path)
    pd.testing.assert_frame_equal(section.adata.obsm["cell_type_ratio"], ratio)


def test_sections_of_one_image_are_told_apart(tmp_path, table, write):
    table.obs["section"], table.obs["donor"] = ["x", "y", "x", "y"], ["D1", "D2", "D1", "D2"]
    write(table)
    first, second = read_own(tmp_path)
    assert (first.name, first.donor, second.name, second.donor) == ("x", "D1", "y", "D2")
    assert list(second.adata.obs_names) == ["u2", "u4"]
    np.testing.assert_allclose(second.adata.obsm["spatial"], [[45, 20], [0, 25]])
    assert first.image == second.image


def test_two_donors_in_one_section_are_refused(tmp_path, table, write):
    table.obs["donor"] = ["D1", "D2", "D1", "D2"]
    write(table)
    with pytest.raises(DataError, match=r"S1\.h5ad, section S1: several donors \(D1, D2\); .*obs"):
        read_own(tmp_path)


def test_files_come_in_order_and_share_no_section_name(tmp_path, table, write):
    write(table, "S2")
    write(table, "S1")
    assert [section.name for section in read_own(tmp_path)] == ["S1", "S2"]
    table.obs["section"] = "S1"
    write(table, "S2")
    with pytest.raises(DataError, match=r"S2\.h5ad: section 'S1' is also in .*S1\.h5ad"):
        read_own(tmp_path)


def test_a_file_needs_exactly_one_image(tmp_path, table, write):
    write(table, suffix=None)
    write(table, stem="S10")
    with pytest.raises(DataError, match=r"S1\.h5ad: no image beside it; put S1\.tif"):
        read_own(tmp_path)
    for suffix in (".png", ".tif"):
        Image.new("RGB", (100, 50)).save(tmp_path / f"S1{suffix}")
    with pytest.raises(DataError, match=r"2 images beside it \(S1\.png, S1\.tif\); keep the one"):
        read_own(tmp_path)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no \.h5ad file"):
        read_own(tmp_path)


def test_the_donor_is_needed_for_every_unit(tmp_path, table, write):
    table.obs["donor"] = ["D1", None, "D1", ""]
    write(table)
    with pytest.raises(
        DataError, match=r"'donor': the donor is missing for 2 of 4 .*'u2'; name it"
    ):
        read_own(tmp_path)
    table.obs = table.obs.rename(columns={"donor": "doner"})
    write(table)
    with pytest.raises(DataError, match=r"no obs column 'donor' \(did you mean 'doner'"):
        read_own(tmp_path)


def test_units_outside_the_image_are_counted_with_its_size(tmp_path, table, write):
    table.obsm["spatial"] = table.obsm["spatial"] * 10
    write(table)
    with pytest.raises(DataError, match="3 of 4 observations lie outside the image of 100 x 50 "):
        read_own(tmp_path)


@pytest.mark.filterwarnings("ignore:.*names are not unique")
def test_duplicate_unit_names_are_refused(tmp_path, table, write):
    table.obs_names = ["u1", "u2", "u1", "u4"]
    write(table)
    with pytest.raises(DataError, match=r"1 observation names occur more than once .*'u1'"):
        read_own(tmp_path)


def test_places_are_needed_and_finite(tmp_path, table, write):
    table.obsm["spatial"] = table.obsm["spatial"].astype(float)
    table.obsm["spatial"][2, 0] = np.nan
    write(table)
    with pytest.raises(DataError, match=r"obsm\['spatial'\] is not finite for 1 .*'u3'"):
        read_own(tmp_path)
    table.obsm["Spatial"] = table.obsm.pop("spatial")
    write(table)
    with pytest.raises(DataError, match=r"no obsm\['spatial'\] \(did you mean 'Spatial'"):
        read_own(tmp_path)


@pytest.mark.parametrize("mpp", [None, 0.0, -0.5, np.nan, "0.5 um"])
def test_micrometres_per_pixel_are_needed_and_positive(tmp_path, table, write, mpp):
    del table.uns["mpp"]
    if mpp is not None:
        table.uns["mpp"] = mpp
    write(table)
    with pytest.raises(DataError, match=r"S1\.h5ad: .*uns\['mpp'\].*micrometres per pixel"):
        read_own(tmp_path)


def test_a_file_of_another_format_is_named(tmp_path, table, write):
    write(table)
    (tmp_path / "S1.h5ad").write_text("donor,x,y")
    with pytest.raises(DataError, match=r"S1\.h5ad: is text, not an \.h5ad file"):
        read_own(tmp_path)


def test_places_of_a_data_frame_are_taken_by_name(tmp_path, table, write):
    right = pd.DataFrame(table.obsm["spatial"], columns=["x", "y"], index=table.obs_names)
    for given in (right, right[["y", "x"]], right.rename(columns=str.upper)[["Y", "X"]]):
        table.obsm["spatial"] = given
        write(table)
        (section,) = read_own(tmp_path)
        np.testing.assert_allclose(section.adata.obsm["spatial"], right.to_numpy() * 0.5)
    table.obsm["spatial"] = right.set_axis(["array_row", "array_col"], axis=1)
    write(table)
    with pytest.raises(DataError, match="has the columns array_row, array_col; name"):
        read_own(tmp_path)


@pytest.mark.parametrize("value", [np.array([0.5]), np.array(0.5), np.float32(0.5), "0.5"])
def test_micrometres_per_pixel_may_be_stored_in_any_way(tmp_path, table, write, value):
    table.uns["mpp"] = value
    write(table)
    (section,) = read_own(tmp_path)
    assert section.mpp == 0.5
    assert type(section.mpp) is float


@pytest.mark.parametrize("value", [np.array([0.5, 0.5]), {"S1": 0.5}, True])
def test_a_pixel_size_that_is_no_single_number_is_refused(tmp_path, table, write, value):
    table.uns["mpp"] = value
    write(table)
    with pytest.raises(DataError, match=r"uns\['mpp'\] is .*; set adata\.uns\['mpp'\]"):
        read_own(tmp_path)


@pytest.mark.parametrize(("given", "name"), [
    (1.0, "1"), (1, "1"), ("1.0", "1"), (" D1 ", "D1"), (pd.Categorical(["D1"] * 4), "D1"),
])  # fmt: skip
def test_donors_are_named_alike_however_they_are_stored(tmp_path, table, write, given, name):
    table.obs["donor"] = given
    table.obs["section"] = given
    write(table)
    (section,) = read_own(tmp_path)
    assert (section.donor, section.name) == (name, name)


@pytest.mark.parametrize("missing", ["nan", "NA", "None", "<NA>", " ", None])
@pytest.mark.parametrize("column", ["donor", "section"])
def test_a_missing_donor_or_section_is_told_in_every_spelling(
    tmp_path, table, write, column, missing
):
    table.obs["section"] = "a"
    table.obs[column] = ["D1", "D1", missing, "D1"]
    write(table)
    with pytest.raises(DataError, match=rf"'{column}': the {column} is missing for 1 .*'u3'"):
        read_own(tmp_path)


def test_reference_donors_need_no_image(tmp_path, table, write):
    del table.uns["mpp"]
    write(table, suffix=None)
    reference = DATASET.model_copy(update={"roles": {"reference": ("D1",)}})
    (section,) = readers.read(tmp_path, reference)
    assert (section.image, section.mpp, section.coverage) == (None, None, None)
    np.testing.assert_array_equal(section.adata.X.toarray(), table.X.toarray())
    by_section = {"split": "leave-one-section-out", "roles": {"reference": ["S1"]}}
    settings = DATASET.model_validate(DATASET.model_dump() | by_section)
    assert next(readers.read(tmp_path, settings)).image is None
    with pytest.raises(DataError, match=r"no image beside it; .*reference donors alone need none"):
        read_own(tmp_path)


@pytest.mark.parametrize("suffix", [".svs", ".btf", ".ome.btf", ".SVS"])
def test_slides_of_other_suffixes_are_found(tmp_path, table, write, suffix):
    write(table, suffix=None)
    Image.new("RGB", (100, 50)).save(tmp_path / "S1.tif")
    (tmp_path / "S1.tif").rename(tmp_path / f"S1{suffix}")
    (section,) = read_own(tmp_path)
    assert str(section.image) == f"S1{suffix}"


def test_a_few_units_outside_the_image_are_dropped(tmp_path, table, write):
    table = ad.concat([table] * 6, index_unique="-", uns_merge="same")
    table.obsm["spatial"][7] = 101, 10
    write(table)
    (section,) = read_own(tmp_path)
    assert section.adata.n_obs == 23
    assert table.obs_names[7] not in section.adata.obs_names
    assert (section.coverage.n_measured, section.coverage.n_outside) == (24, 1)


def test_a_scale_that_contradicts_the_spacing_of_spots_is_refused(tmp_path, write):
    x, y = (part.ravel() * 10 for part in np.mgrid[:9, :4])
    spots = ad.AnnData(
        sparse.csr_matrix(np.ones((36, 2), dtype=np.int64)),
        obs=pd.DataFrame({"donor": "D1"}, index=[f"u{i}" for i in range(36)]),
        var=pd.DataFrame(index=["ACTB", "GAPDH"]),
        obsm={"spatial": np.column_stack([x, y]) + 5},
        uns={"mpp": 10.0},
    )
    write(spots)
    assert len(read_own(tmp_path)) == 1
    spots.uns["mpp"] = 2.0
    write(spots)
    with pytest.raises(DataError, match=r"uns\['mpp'\]: neighbouring spots lie 20 um apart"):
        read_own(tmp_path)


def test_a_composition_without_names_is_refused(tmp_path, table, write):
    table.obsm["cell_type_ratio"] = np.full((4, 2), 0.5)
    write(table)
    with pytest.raises(DataError, match=r"obsm\['cell_type_ratio'\] is an array without names"):
        read_own(tmp_path)
