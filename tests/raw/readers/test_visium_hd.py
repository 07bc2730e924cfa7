import json

import numpy as np
import pytest
from PIL import Image

from cell_synergy.core.errors import ConfigError, DataError
from tests.raw import native


def test_visium_hd_bins_are_gathered_into_patches(tmp_path, make_dataset):
    _, pixels, counts = native.visium_hd(tmp_path / "A1")
    section = native.one(tmp_path, make_dataset("visium_hd", "patches", least=1))
    assert section.mpp == native.MPP
    assert section.adata.n_obs == 6 * 4
    assert section.cells is None
    inside = (pixels * native.MPP // 50 == [2, 1]).all(axis=1)
    patch = section.adata["2x1"]
    np.testing.assert_array_equal(patch.X.toarray()[0], counts[inside].sum(axis=0))
    np.testing.assert_array_equal(patch.obsm["spatial"][0], [125, 75])
    bins = native.one(tmp_path, make_dataset("visium_hd"))
    np.testing.assert_allclose(bins.adata.obsm["spatial"], pixels * native.MPP)


def test_visium_hd_needs_its_bins_and_their_scale(tmp_path, make_dataset):
    native.visium_hd(tmp_path / "A1")
    with pytest.raises(DataError, match=r"no folder 'square_016um' \(did you mean 'square_008um'"):
        native.one(tmp_path, make_dataset("visium_hd", bin_um=16))
    with pytest.raises(ConfigError, match=r"needs reader\.bin_um, for example 8"):
        native.one(tmp_path, make_dataset("visium_hd", bin_um=None))
    scales = tmp_path / "A1/binned_outputs/square_008um/spatial/scalefactors_json.json"
    for text, message in (("{}", "no number 'microns_per_pixel'"),
                          ('{"microns_per_pixel": -1}', "is -1.0, which is not")):  # fmt: skip
        scales.write_text(text)
        with pytest.raises(DataError, match=rf"scalefactors_json\.json: .*{message}"):
            native.one(tmp_path, make_dataset("visium_hd"))


def change(folder, **values):
    path = folder / "binned_outputs/square_008um/spatial/scalefactors_json.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("factor", [0.5, 1.25, 4.0])
def test_a_scale_that_contradicts_the_bins_is_refused(tmp_path, make_dataset, factor):
    native.visium_hd(tmp_path / "A1")
    change(tmp_path / "A1", microns_per_pixel=native.MPP * factor)
    message = rf"scalefactors_json\.json: neighbouring spots lie {8 * factor:.4g} um apart, .* 8 um"
    with pytest.raises(DataError, match=message):
        native.one(tmp_path, make_dataset("visium_hd"))


@pytest.mark.parametrize("place", ["spatial", "binned_outputs/square_008um/spatial"])
def test_the_hires_image_stands_in_for_the_slide_and_tells_its_size(tmp_path, make_dataset, place):
    _, pixels, _ = native.visium_hd(tmp_path / "A1")
    (tmp_path / "A1" / place).mkdir(exist_ok=True)
    Image.new("RGB", (150, 100), (200, 120, 180)).save(
        tmp_path / "A1" / place / "tissue_hires_image.png"
    )
    change(tmp_path / "A1", tissue_hires_scalef=0.25)
    assert native.one(tmp_path, make_dataset("visium_hd")).mpp == native.MPP
    native.image(tmp_path / "A1/he.tif", (1200, 800))
    with pytest.raises(DataError, match="1200 x 800 pixels, 2 times as large"):
        native.one(tmp_path, make_dataset("visium_hd"))
    (tmp_path / "A1/he.tif").unlink()
    section = native.one(tmp_path, make_dataset("visium_hd"))
    assert str(section.image) == f"A1/{place}/tissue_hires_image.png"
    assert section.mpp == 4 * native.MPP
    np.testing.assert_allclose(section.adata.obsm["spatial"], pixels * native.MPP)
