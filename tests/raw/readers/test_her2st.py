import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cell_synergy.core.errors import DataError
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw import readers
from cell_synergy.raw.readers import her2st

DATASET = DatasetConfig.model_validate(
    {
        "source": "manifest", "reader": "her2st", "unit_um": 100.0, "standardise": "donor",
        "split": "leave-one-donor-out", "tasks": {}, "roles": {},
    }
)  # fmt: skip
PAIRED = {"A1": 346, "B4": 283, "C2": 187, "C3": 180, "C4": 184, "C5": 181}
SCALE = 0.05  # of the toy images
TURN, SHIFT = np.array([[0.8, 0.6], [-0.6, 0.8]]), np.array([1000.0, -500.0])
COLUMNS = ["x", "y", "new_x", "new_y", "pixel_x", "pixel_y"]
GRID = np.array([(x, y) for x in range(5, 9) for y in range(5, 9)])
NAMES = [f"{x}x{y}" for x, y in GRID]
# Array coordinates are not quite whole; 250 pixels are 200 um.
ARRAY = GRID + np.random.default_rng(0).uniform(-0.1, 0.1, GRID.shape)
PIXELS = ARRAY * 250 + 100
REGION: dict[str, str | None] = dict(
    zip(NAMES, ["invasive cancer", "connective tissue"] * 8, strict=True)
)
REGION["6x5"], REGION["6x7"] = "undetermined", None
EXPECTED = REGION | {"6x5": None}


def _write(path, table, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", **options)


def _write_spots(raw, name):
    """Write the spot file and, for a section to be registered, the places of half its spots."""
    registered = name in {"B4", "C2", "C3", "C4", "C5"}
    pixels = PIXELS @ TURN + SHIFT if registered else PIXELS
    table = pd.DataFrame(np.column_stack([GRID, (pixels - 100) / 250, pixels]), columns=COLUMNS)
    if registered:
        passed = table.assign(warped_x=PIXELS[:, 0], warped_y=PIXELS[:, 1], label=3).iloc[::2]
        _write(raw / f"res/ST-cluster/lbl/{name}-cluster-annotation.tsv.gz", passed)
    table.loc[len(table)] = [30, 30, 30, 30, 7600, 7600]  # a spot without counts
    table = table.astype({"x": int, "y": int}).assign(selected=1)
    _write(raw / f"data/ST-spotfiles/{name}_selection.tsv", table, index=False)


def _write_labels(raw, name):
    table = pd.DataFrame(ARRAY, columns=["x", "y"], index=NAMES)
    # These pixels are of another image: they must not matter.
    table = table.assign(pixel_x=1.0, pixel_y=2.0, label=pd.Series(REGION))
    _write(raw / f"data/ST-pat/lbl/{name}_labeled_coordinates.tsv", table, index_label="Row.names")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Write all sections; B4 and C2 to C5 lie turned and shifted on their slides."""
    tmp_path = tmp_path_factory.mktemp("her2st")
    rng = np.random.default_rng(1)
    for name in (*PAIRED, *her2st._COUNTS_ONLY, "B1", "C1"):
        _write_spots(tmp_path, name)
        counts = pd.DataFrame(rng.poisson(1, (16, 3)), index=NAMES, columns=["A.1", "B", "C"])
        shuffled = counts.sample(frac=1, random_state=0)
        _write(tmp_path / f"data/ST-cnts/{name}.tsv.gz", shuffled)
    for name in ("A1", "B1", "C1"):
        _write_labels(tmp_path, name)
    for name, slide in her2st._SLIDES.items():
        (tmp_path / slide.image).parent.mkdir(parents=True, exist_ok=True)
        size = (round(slide.frame[0] * SCALE), round(slide.frame[1] * SCALE))
        Image.new("RGB", size).save(tmp_path / slide.image)
        share = np.linspace(0, 1, 16)
        ratio = pd.DataFrame({"T-cells": share, "Myeloid": 1 - share}, index=NAMES).drop("5x6")
        _write(tmp_path / f"res/ST-deconv/props/major/{name}-proportion.tsv", ratio)
    return tmp_path


@pytest.fixture(scope="module")
def sections(pristine):
    return _sections(pristine)


@pytest.fixture
def raw(pristine, tmp_path):
    """A copy of the files to change."""
    return shutil.copytree(pristine, tmp_path / "raw")


def _sections(raw):
    return {section.name: section for section in readers.read(raw, DATASET)}


def _region(section):
    regions = section.adata.obs["region"].astype(object)
    return {spot: None if pd.isna(value) else value for spot, value in regions.items()}


def test_every_section_is_read_and_the_letter_is_the_donor(sections):
    assert len(sections) == 24
    assert all(section.donor == name[0] for name, section in sections.items())
    with_image = [name for name, section in sections.items() if section.image is not None]
    assert with_image == list(PAIRED)
    assert all(sections[name].mpp is None for name in sections if name not in PAIRED)
    assert all("region" not in sections[name].adata.obs for name in sections if name not in PAIRED)


def test_places_and_scale_come_from_the_pitch_of_the_array(sections):
    expected = pd.DataFrame(PIXELS * 200 / 250, index=NAMES)
    for section in (sections["A1"], sections["D1"]):
        place = section.adata.obsm["spatial"]
        np.testing.assert_allclose(place, expected.loc[section.adata.obs_names], rtol=1e-9)
    # 6954 x 0.05 is 348 pixels: the scale is that of the image as it is.
    mpp = sections["A1"].mpp
    assert mpp == pytest.approx(200 / 250 / (348 / 6954), rel=1e-9)


def test_regions_of_an_annotated_section_are_joined_on_array_positions(sections):
    assert _region(sections["A1"]) == EXPECTED


@pytest.mark.parametrize("name", ["B4", "C2", "C5"])
def test_regions_are_carried_over_through_the_registration(sections, name):
    assert _region(sections[name]) == EXPECTED


def test_a_spot_with_no_annotated_spot_near_it_has_no_region(raw):
    path = raw / "data/ST-pat/lbl/B1_labeled_coordinates.tsv"
    table = pd.read_csv(path, sep="\t", index_col=0)
    table.drop(["5x5", "6x6"]).to_csv(path, sep="\t")
    # Their neighbours are a whole pitch, 200 um, away (less the jitter).
    assert _region(_sections(raw)["B4"]) == EXPECTED | {"5x5": None, "6x6": None}


def test_spots_that_the_proportions_lack_are_kept_with_an_empty_row(sections):
    section = sections["C2"]
    ratio = section.adata.obsm["cell_type_ratio"]
    assert list(ratio.index) == list(section.adata.obs_names)
    assert ratio.isna().all(axis=1).sum() == 1
    assert ratio.loc["5x6"].isna().all()
    assert ratio.loc["8x8", "T-cells"] == 1


def test_categories_are_the_same_in_every_section(sections):
    read = (sections["A1"], sections["B4"])
    first, second = (s.adata.obs["region"].cat.categories.to_list() for s in read)
    assert first == second == sorted(first)
    assert "undetermined" not in first
    assert "immune infiltrate" in first


def test_counts_of_a_spot_that_the_spot_file_lacks_are_refused(raw):
    path = raw / "data/ST-spotfiles/A1_selection.tsv"
    pd.read_csv(path, sep="\t").iloc[1:].to_csv(path, sep="\t", index=False)
    with pytest.raises(DataError, match=r"A1\.tsv\.gz: 1 spots \(e\.g\. 5x5\) are not in"):
        _sections(raw)


def test_an_unknown_region_is_refused_with_the_likely_one(raw):
    path = raw / "data/ST-pat/lbl/A1_labeled_coordinates.tsv"
    path.write_text(path.read_text().replace("invasive cancer", "invasiv cancer"))
    with pytest.raises(DataError, match=r"unknown label 'invasiv cancer' \(did you mean 'invasive"):
        _sections(raw)


def test_a_cropped_image_is_refused(raw):
    Image.new("RGB", (348, 300)).save(raw / her2st._SLIDES["A1"].image)
    with pytest.raises(DataError, match=r"348 x 300 pixels are not the proportions of the slide"):
        _sections(raw)


def test_a_column_that_is_missing_is_named(raw):
    path = raw / "data/ST-spotfiles/A1_selection.tsv"
    path.write_text(path.read_text().replace("pixel_x", "pixelx"))
    with pytest.raises(DataError, match=r"A1_selection\.tsv: no column 'pixel_x' \(did you mean"):
        _sections(raw)


@pytest.fixture(scope="module")
def real():
    mirror = os.environ.get("CELL_SYNERGY_MIRROR")
    if not mirror:
        pytest.skip("CELL_SYNERGY_MIRROR names no folder of real tissue")
    return Path(mirror) / "her2st"


@pytest.mark.realdata
def test_real_regions_are_those_derived_before(real):
    table = pd.read_csv(real / "derived/histology_labels.csv", keep_default_na=False)
    table["label"] = table["label"].replace({"undetermined": ""})
    for name in PAIRED:
        result = her2st._read_section(real, name).adata.obs["region"].astype(object).fillna("")
        derived = table[table["section"] == name].set_index("spot")["label"]
        assert result.to_dict() == derived.to_dict()


@pytest.mark.realdata
def test_real_scales_are_those_derived_before(real):
    derived = pd.read_csv(real / "sections.csv", index_col="section")
    for name, spots in PAIRED.items():
        section = her2st._read_section(real, name)
        assert section.adata.n_obs == spots
        assert section.mpp == pytest.approx(derived.loc[name, "um_per_px_image"], rel=3e-3)
        assert f"her2st/{section.image}" == derived.loc[name, "image"]
        assert section.adata.obsm["cell_type_ratio"].notna().all(axis=None)


@pytest.mark.slow
@pytest.mark.realdata
def test_real_reference_donors_have_the_published_number_of_spots(real):
    sections = [s for s in readers.read(real, DATASET) if s.image is None]
    assert len(sections) == 18
    assert {section.donor for section in sections} == set("DEFGH")
    assert sum(section.adata.n_obs for section in sections) == 8757
