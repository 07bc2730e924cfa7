from dataclasses import replace

import imagecodecs
import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from cell_synergy.core.config import read_section
from cell_synergy.core.errors import DataError
from cell_synergy.data.paired import read as read_pairs
from cell_synergy.raw import build as building
from cell_synergy.raw.sections.coordinates import ImageCoverage
from cell_synergy.raw.sections.qc import SectionQC
from stages.pairs import Args, main

GENES = " ".join(f"g{i}" for i in range(12))


@pytest.fixture
def tissue(section, tmp_path):
    """Return a function that makes a section with an image of one grey per half."""

    def make(name, left=128, right=128, mpp=0.5):
        image = np.full((120, 120, 3), left, np.uint8)
        image[:, 60:] = right
        (tmp_path / f"{name}.png").write_bytes(imagecodecs.png_encode(image))
        one = section(name, name[0], GENES, image=f"{name}.png", mpp=mpp)
        one.adata.obsm["spatial"] = np.random.default_rng(1).uniform(10, 50, (24, 2)) * mpp * 2
        return one

    return make


@pytest.fixture
def build(dataset, rules, tmp_path, section):
    def make(sections, **limits):
        section_qc = SectionQC()
        result = [*sections, section("B1", "B", GENES), section("R1", "R", GENES)]
        own = rules.model_copy(update=limits)
        building.build("lab", result, dataset(tasks={}), own, tmp_path, section_qc)
        section_qc.write(tmp_path / "lab.csv")
        return pd.read_csv(tmp_path / "lab.csv", index_col="section")

    return make


def test_the_table_says_what_became_of_every_section(build, tissue, tmp_path):
    one = tissue("A1", right=255)
    one.adata.obsm["spatial"][:, 0] = np.where(np.arange(24) < 20, 15, 45)
    one.adata.obsm["spatial"][0] = 3, 20
    row = build([one]).loc["A1"]
    assert row[["donor", "role"]].tolist() == ["A", "study"]
    assert row[["um_per_px", "image_width", "image_height", "field_px"]].tolist() == [
        0.5,
        120,
        120,
        16,
    ]
    counted = ["read", "outside", "units", "near_border", "off_tissue", "kept"]
    assert row[counted].tolist() == [24, 0, 24, 1, 4, 19]
    table = build([one])
    assert table.index.tolist() == ["A1", "B1", "R1"]
    assert table.loc["R1", "role"] == "reference"
    assert table.loc["B1", ["um_per_px", "image_width", "field_px"]].isna().all()
    assert table.loc["B1", counted].tolist() == [24, 0, 24, 0, 0, 24]
    first = (tmp_path / "lab.csv").read_bytes()
    build([one])
    assert (tmp_path / "lab.csv").read_bytes() == first


WHITE, BLACK = "bare glass: the coordinates", "is black: .* not a fluorescence image"


@pytest.mark.parametrize(("right", "limits", "cause"), [
    (255, {}, WHITE), (0, {}, BLACK), (128, {"white": 0.45}, "bare glass"),
])  # fmt: skip
def test_mostly_off_tissue_is_an_error_with_the_share_and_the_cause(
    build, tissue, right, limits, cause
):
    one = tissue("A1", left=right if "white" in limits else 100, right=right)
    one.adata.obsm["spatial"][:, 0] = np.where(np.arange(24) < 10, 15, 45)
    share = "24 of 24" if limits else "14 of 24"
    message = rf"section A1: {share} observations lie off tissue .*A1\.png .*allows 50% .*{cause}"
    with pytest.raises(DataError, match=message):
        build([one], **limits)
    if not limits:
        assert build([one], off_tissue=0.6).loc["A1", "kept"] == 10


def test_a_section_of_which_nothing_stays_is_refused(build, tissue):
    one = tissue("A1")
    one.adata.obsm["spatial"] /= 100
    with pytest.raises(
        DataError, match="0 of 24 observations lie off tissue and 24 too near the border"
    ):
        build([one])


def test_a_field_of_few_pixels_is_told_and_of_fewer_refused(build, tissue, capsys):
    build([tissue("A1")], few_px=16.0, least_px=8.0)
    assert "pixels of the 8 um" not in capsys.readouterr().out
    build([tissue("A1", mpp=0.6)], few_px=16.0, least_px=8.0)
    message = (
        "section A1: 0.6 um per pixel of A1.png make 13.3 pixels of the 8 um around an observation"
    )
    assert message in capsys.readouterr().out
    with pytest.raises(DataError, match=r"make 7\.27 pixels .* under pairs\.least_px 8: give"):
        build([tissue("A1", mpp=1.1)], few_px=16.0, least_px=8.0)


@pytest.mark.parametrize(("mpp", "warned"), [(1.0, False), (1.1, True)])
def test_resolutions_that_differ_more_than_twofold_are_told(build, tissue, capsys, mpp, warned):
    build([tissue("A1"), tissue("A2", mpp=mpp)])
    message = f"lab: images differ in resolution: 0.5 um per pixel of section A1, {mpp} of A2"
    assert (message in capsys.readouterr().out) is warned


def test_spots_outside_the_image_count_against_their_share(build, tissue):
    one = tissue("A1")
    right = ImageCoverage("spots", 25, 1, "", "x and y are swapped")
    row = build([replace(one, coverage=right)]).loc["A1"]
    assert row[["read", "outside", "units", "kept"]].tolist() == [25, 1, 24, 24]
    wrong = ImageCoverage("spots", 28, 4, "", "x and y are swapped")
    message = "section A1: 4 of 28 spots lie outside the image .*5%.* x and y are swapped"
    with pytest.raises(DataError, match=message):
        build([replace(one, coverage=wrong)])
    assert build([replace(one, coverage=wrong)], outside=0.2).loc["A1", "outside"] == 4


@pytest.mark.parametrize("names", [("A1", "a1"), ("A 1", "A1")])
def test_sections_whose_names_look_alike_are_refused(build, section, names):
    result = [section(name, "A", GENES) for name in names]
    with pytest.raises(DataError, match="differ in blanks or capitals alone; write a section's"):
        build(result)


def test_a_section_or_donor_that_comes_twice_is_refused(build, section):
    with pytest.raises(DataError, match="lab: section 'A1' occurs twice; rename one"):
        build([section("A1", "A", GENES), section("A1", "A", GENES)])
    with pytest.raises(
        DataError, match=r"'A' and 'a' differ in .* write a donor's name in one way"
    ):
        build([section("A1", "A", GENES), section("A2", "a", GENES)])


@pytest.mark.parametrize("name", ["a/b", ".."])
def test_a_section_has_a_name_that_can_be_a_key(build, section, name):
    with pytest.raises(DataError, match=r"section .* cannot name a file"):
        build([section(name, "A", GENES)])


def test_the_stage_writes_the_table_beside_the_pairs(write_sections, tmp_path, monkeypatch):
    block = {
        "source": {"kind": "folder", "folder": "mine"}, "unit_um": 100.0,
        "reader": {"kind": "visium", "units": "spots"},
        "standardise": "donor", "split": "leave-one-donor-out", "tasks": {},
        "roles": {"reference": ["R1"], "study": ["A1", "B1"]},
    }  # fmt: skip
    blocks = ("pairs", "experts", "encoders", "align", "training")
    params = {name: read_section(name) for name in blocks} | {"data": {"mine": block}}
    params["training"]["batch_size"] = 8
    raw = write_sections("visium")
    monkeypatch.chdir(tmp_path)
    YAML().dump(params, tmp_path / "params.yaml")
    out, reference = tmp_path / "out/mine.h5ad", tmp_path / "out/reference.h5ad"
    labels = tmp_path / "labels/mine.h5ad"
    main(Args(dataset="mine", raw=raw, out=out, reference=reference, labels=labels))
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "mine.csv", "mine.h5ad", "reference.h5ad"
    ]  # fmt: skip
    table = pd.read_csv(out.with_suffix(".csv"))
    assert table["section"].tolist() == ["A1", "B1", "R1"]
    assert table["read"].tolist() == [98] * 3
    kept = read_pairs(out).obs["section"].value_counts()
    assert table["kept"].tolist()[:2] == kept[["A1", "B1"]].tolist()
    assert table["um_per_px"].tolist() == [2.0] * 3
    assert table["field_px"].tolist() == [56.0] * 3
