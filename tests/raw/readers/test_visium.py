import gzip
import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.raw.images import open_slide
from tests.raw import native


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("folded", [True, False])
def test_visium_spots_lie_where_space_ranger_says(tmp_path, make_dataset, header, folded):
    barcodes, pixels, counts = native.visium(tmp_path / "A1", header=header, folded=folded)
    section = native.one(tmp_path, make_dataset("visium"))
    assert (section.name, section.donor, str(section.image)) == ("A1", "A", "A1/he.tif")
    assert section.mpp == pytest.approx(native.VISIUM_MPP)
    assert section.adata.obs_names.tolist() == barcodes.tolist()
    assert section.adata.var_names.tolist() == native.GENES
    np.testing.assert_array_equal(section.adata.X.toarray(), counts)
    np.testing.assert_allclose(section.adata.obsm["spatial"], pixels * native.VISIUM_MPP)
    assert section.cells is None


def _lose(column):
    def change(folder):
        path = folder / "outs/spatial/tissue_positions.csv"
        pd.read_csv(path).drop(columns=column).to_csv(path, index=False)

    return change


def _positions(change):
    def write(folder):
        path = folder / "outs/spatial/tissue_positions.csv"
        table = pd.read_csv(path)
        change(table).to_csv(path, index=False)

    return write


VISIUM = {
    r"spatial: no tissue_positions\.csv \(or _list\.csv, or \.parquet\); put it there":
        lambda folder: (folder / "outs/spatial/tissue_positions.csv").unlink(),
    r"tissue_positions\.csv: no column 'array_row' \(did you mean 'array_col'": _lose("array_row"),
    r"the row of barcode '0+-1' does not have six columns with numbers":
        _positions(lambda table: table.astype(object).replace({"array_col": {0: "left"}})),
    r"\d+ of \d+ barcodes of the matrix \(e\.g\. \d+-1\) have no tissue position":
        _positions(lambda table: table.iloc[:200]),
    r"no scale from the tissue positions: .* lie on one line":
        _positions(lambda table: table.assign(array_row=0)),
    r"\d+ of \d+ spots lie outside the image of 60 x 40 pixels":
        lambda folder: native.image(folder / "he.tif", (60, 40)),
}  # fmt: skip


@pytest.mark.parametrize("message", VISIUM)
def test_faults_of_a_space_ranger_folder_are_named(tmp_path, make_dataset, message):
    native.visium(tmp_path / "A1")
    VISIUM[message](tmp_path / "A1")
    with pytest.raises(DataError, match=message):
        native.one(tmp_path, make_dataset("visium"))


HIRES, LOWRES = 0.25, 0.1


def downscaled(folder, spatial="outs/spatial", prefix="", suffix=".png", **changes):
    """Write what Space Ranger makes of `he.tif`, and the scale factors."""
    pixels = Image.fromarray(tifffile.imread(folder / "he.tif"))
    for level, scale in (("hires", HIRES), ("lowres", LOWRES)):
        size = round(pixels.width * scale), round(pixels.height * scale)
        image = pixels.resize(size, Image.Resampling.BOX)
        image.save(folder / spatial / f"{prefix}tissue_{level}_image{suffix}", quality=95)
    factors = {
        "spot_diameter_fullres": 32.5, "tissue_hires_scalef": HIRES, "tissue_lowres_scalef": LOWRES,
        "fiducial_diameter_fullres": 60.0, **changes,
    }  # fmt: skip
    write_factors(folder / spatial / f"{prefix}scalefactors_json.json", factors)


def write_factors(path, factors):
    known = {key: value for key, value in factors.items() if value is not None}
    path.write_text(json.dumps(known))


def marked(folder, pixels):
    """Write a slide that is dark where the spots are."""
    slide = np.full((native.SIZE[1], native.SIZE[0], 3), 200, np.uint8)
    for x, y in pixels.round().astype(int):
        slide[y - 8 : y + 8, x - 8 : x + 8] = (120, 60, 140)
    tifffile.imwrite(folder / "he.tif", slide, photometric="rgb")


def shown(folder, section):
    """Return the mean colour of the image at each spot."""
    with open_slide(folder / section.image) as slide:
        centres = section.adata.obsm["spatial"] / section.mpp
        side = max(round(8 * native.VISIUM_MPP / section.mpp), 1)
        return np.array([slide.crop(centre, side).mean(axis=(0, 1)) for centre in centres])


@pytest.mark.parametrize("prefix", ["", "GSM123_A1_"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("outs", [True, False])
def test_without_a_slide_spots_lie_where_they_are_in_the_hires_image(
    tmp_path, make_dataset, prefix, suffix, outs
):
    _, pixels, counts = native.visium(tmp_path / "A1", outs=outs)
    marked(tmp_path / "A1", pixels)
    slide = native.one(tmp_path, make_dataset("visium"))
    spatial = "outs/spatial" if outs else "spatial"
    downscaled(tmp_path / "A1", spatial, prefix, suffix)
    (tmp_path / "A1/he.tif").unlink()
    section = native.one(tmp_path, make_dataset("visium"))
    assert str(section.image) == f"A1/{spatial}/{prefix}tissue_hires_image{suffix}"
    assert section.mpp == pytest.approx(native.VISIUM_MPP / HIRES)
    np.testing.assert_array_equal(section.adata.obsm["spatial"], slide.adata.obsm["spatial"])
    np.testing.assert_array_equal(section.adata.X.toarray(), counts)
    assert np.abs(shown(tmp_path, section) - (120, 60, 140)).max() < 20


@pytest.mark.parametrize(
    ("image", "scale"),
    [
        ("spatial/tissue_hires_image.png", HIRES),
        ("outs/spatial/tissue_hires_image.png", HIRES),
        ("*/spatial/*hires*.png", HIRES),
        ("spatial/tissue_lowres_image.png", LOWRES),
        ("he.tif", 1.0),
        (None, 1.0),
    ],
)
def test_an_image_that_is_named_has_its_own_scale(tmp_path, make_dataset, image, scale):
    _, pixels, _ = native.visium(tmp_path / "A1")
    marked(tmp_path / "A1", pixels)
    downscaled(tmp_path / "A1")
    section = native.one(tmp_path, make_dataset("visium", image=image))
    assert section.mpp == pytest.approx(native.VISIUM_MPP / scale)
    np.testing.assert_allclose(section.adata.obsm["spatial"], pixels * native.VISIUM_MPP)
    assert np.abs(shown(tmp_path, section) - (120, 60, 140)).max() < (60 if scale < HIRES else 20)


def test_places_of_labels_are_of_the_slide_whichever_image_is_read(tmp_path, make_dataset):
    _, pixels, _ = native.visium(tmp_path / "A1")
    downscaled(tmp_path / "A1")
    words = np.where(pixels[:, 0] < native.SIZE[0] / 2, "left", "right")
    table = pd.DataFrame({"section": "A1", "x": pixels[:, 0], "y": pixels[:, 1], "half": words})
    table.to_csv(tmp_path / "labels.csv", index=False)
    for image in (None, "spatial/tissue_hires_image.png", "spatial/tissue_lowres_image.png"):
        section = native.one(tmp_path, make_dataset("visium", image=image, labels="labels.csv"))
        assert section.adata.obs["half"].tolist() == words.tolist()


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((900, 600), r"he\.tif: has 900 x 600 pixels, 1\.5 times as large; .* have 600 x 400"),
        ((300, 200), r"has 300 x 200 pixels, 0\.5 times as large; by tissue_hires_image\.png"),
        ((400, 600), r"has 400 x 600 pixels; .* should have 600 x 400"),
        ((640, 400), r"has 640 x 400 pixels; .* or set reader\.image"),
    ],
)
def test_a_slide_that_is_not_the_one_of_the_spots_is_refused(tmp_path, make_dataset, size, message):
    native.visium(tmp_path / "A1")
    downscaled(tmp_path / "A1")
    native.image(tmp_path / "A1/he.tif", size)
    with pytest.raises(DataError, match=message):
        native.one(tmp_path, make_dataset("visium"))
    (tmp_path / "A1/outs/spatial/tissue_hires_image.png").unlink()
    with pytest.raises(DataError, match=message.replace("hires", "lowres")):
        native.one(tmp_path, make_dataset("visium"))


@pytest.mark.parametrize("size", [(601, 401), (599, 402), (603, 397)])
def test_a_slide_may_differ_by_what_space_ranger_rounds(tmp_path, make_dataset, size):
    native.visium(tmp_path / "A1")
    downscaled(tmp_path / "A1")
    native.image(tmp_path / "A1/he.tif", size)
    assert native.one(tmp_path, make_dataset("visium")).mpp == pytest.approx(native.VISIUM_MPP)


def test_scale_factors_are_needed_for_downscaled_images_alone(tmp_path, make_dataset):
    native.visium(tmp_path / "A1")
    downscaled(tmp_path / "A1", tissue_hires_scalef=None)
    factors = tmp_path / "A1/outs/spatial/scalefactors_json.json"
    assert native.one(tmp_path, make_dataset("visium")).mpp == pytest.approx(native.VISIUM_MPP)
    (tmp_path / "A1/he.tif").rename(tmp_path / "he.tif")
    with pytest.raises(DataError, match=r"no number 'tissue_hires_scalef' .* of tissue_hires_im"):
        native.one(tmp_path, make_dataset("visium"))
    for content in (b"{", b"[]", b"<html>", b"\xff\xfe"):
        factors.write_bytes(content)
        with pytest.raises(DataError, match=r"scalefactors_json\.json: .* scale factors"):
            native.one(tmp_path, make_dataset("visium"))
    factors.unlink()
    with pytest.raises(DataError, match=r"no number 'tissue_hires_scalef'"):
        native.one(tmp_path, make_dataset("visium"))
    packed = gzip.compress(json.dumps({"tissue_hires_scalef": HIRES}).encode())
    factors.with_name("scalefactors_json.json.gz").write_bytes(packed)
    section = native.one(tmp_path, make_dataset("visium"))
    assert section.mpp == pytest.approx(native.VISIUM_MPP / HIRES)
    factors.with_name("scalefactors_json.json.gz").unlink()
    (tmp_path / "he.tif").rename(tmp_path / "A1/he.tif")
    assert native.one(tmp_path, make_dataset("visium")).mpp == pytest.approx(native.VISIUM_MPP)


@pytest.mark.parametrize(("diameter", "warned"), [(27.5, False), (32.5, False), (65.0, True)])
def test_spots_of_another_size_are_told(tmp_path, make_dataset, capsys, diameter, warned):
    native.visium(tmp_path / "A1")
    downscaled(tmp_path / "A1", spot_diameter_fullres=diameter)
    native.one(tmp_path, make_dataset("visium"))
    assert ("spots have a diameter of 130 um, not of 55" in capsys.readouterr().out) == warned


def test_pictures_of_pipelines_are_no_slides_and_several_slides_are_listed(tmp_path, make_dataset):
    native.visium(tmp_path / "A1")
    others = (
        "morphology_focus.ome.tif", "GSM1_morphology_mip_0000.ome.tif", "tissue_hires_image.png",
        "GSM1_tissue_lowres_image.jpg", "detected_tissue_image.jpg", "aligned_fiducials.jpg",
        "aligned_tissue_image.jpg", "CytAssist_image.tiff", "._he.tif",
    )  # fmt: skip
    for name in others:
        (tmp_path / "A1" / name).write_bytes(b"not read")
    (tmp_path / "A1/tissue_hires_image.png").unlink()
    (tmp_path / "A1/GSM1_tissue_lowres_image.jpg").unlink()
    assert str(native.one(tmp_path, make_dataset("visium")).image) == "A1/he.tif"
    native.image(tmp_path / "A1/outs/IHC.SVS")
    with pytest.raises(DataError, match=r"found he\.tif, IHC\.SVS; .* set reader\.image"):
        native.one(tmp_path, make_dataset("visium"))
    assert (
        str(native.one(tmp_path, make_dataset("visium", image="IHC.SVS")).image)
        == "A1/outs/IHC.SVS"
    )


def test_an_image_that_is_zipped_is_told_so(tmp_path, make_dataset):
    native.visium(tmp_path / "A1")
    slide = tmp_path / "A1/he.tif"
    slide.with_name("he.tif.gz").write_bytes(gzip.compress(slide.read_bytes()))
    slide.unlink()
    with pytest.raises(DataError, match=r"he\.tif\.gz: is a gzip file, .*; unpack it"):
        native.one(tmp_path, make_dataset("visium"))


def test_a_pattern_stays_in_the_folder_and_a_link_need_not(tmp_path, make_dataset):
    native.visium(tmp_path / "raw/A1")
    (tmp_path / "raw/A1/he.tif").rename(tmp_path / "archive.tif")
    for image in ("../../archive.tif", str(tmp_path / "archive.tif"), "outs/../../x.tif", ""):
        with pytest.raises(ConfigError, match=r"reader\.image is .*below a section's folder"):
            native.one(tmp_path / "raw", make_dataset("visium", image=image))
    (tmp_path / "raw/A1/he.tif").symlink_to(tmp_path / "archive.tif")
    assert str(native.one(tmp_path / "raw", make_dataset("visium")).image) == "A1/he.tif"


@pytest.mark.parametrize("prefix", ["", "GSM1_S1_"])
def test_a_packed_hires_image_is_to_be_unpacked(tmp_path, make_dataset, prefix):
    native.visium(tmp_path / "A1")
    (tmp_path / "A1/he.tif").unlink()
    name = f"{prefix}tissue_hires_image.png.gz"
    (tmp_path / "A1/outs/spatial" / name).write_bytes(gzip.compress(b"picture"))
    with pytest.raises(DataError, match=rf"A1: no image but {name}, which is packed; unpack it"):
        native.one(tmp_path, make_dataset("visium"))
