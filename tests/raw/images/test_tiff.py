import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from cell_synergy.core.errors import DataError
from cell_synergy.raw.images import Slide, flat, image_size, open_slide, slide, tiff

RNG = np.random.default_rng(0)


def crop(image, centre, side):
    return Slide(image).crop(centre, side)


LARGE = RNG.integers(0, 256, (200, 330, 3), dtype=np.uint8)
LAYOUTS: dict[str, dict[str, Any]] = {
    "tiles.tif": {"tile": (64, 48)},
    "tiles.svs": {"tile": (64, 48), "compression": "deflate", "predictor": True},
    "strips.tif": {"rowsperstrip": 7, "compression": "lzw"},
    "planes.tif": {"tile": (64, 48), "planarconfig": "separate"},
    "plane_strips.tif": {"rowsperstrip": 7, "planarconfig": "separate", "compression": "deflate"},
    "memory.tif": {},
    "jpeg.tif": {"tile": (64, 48), "compression": "jpeg", "subsampling": (2, 2)},
    "jpeg_strips.tif": {"rowsperstrip": 16, "compression": "jpeg"},
    "slide.ome.tif": {"tile": (64, 48), "metadata": {"axes": "YXS"}},
    "planes.ome.tif": {"tile": (64, 48), "metadata": {"axes": "CYX"}},
}


@pytest.fixture
def tile_by_tile(monkeypatch):
    """Decode images of more than a few pixels tile by tile, and cache two tiles."""
    monkeypatch.setattr(tiff, "MAX_WHOLE_PIXELS", 10_000)
    monkeypatch.setattr(tiff, "CACHE_BYTES", 2 * 64 * 48 * 3)


@pytest.fixture(params=LAYOUTS)
def pyramid(request, tmp_path):
    """Return a file of LARGE, half and a quarter of it, written in some way."""
    path = tmp_path / request.param
    options: dict[str, Any] = {"photometric": "rgb", **LAYOUTS[request.param]}
    level = LARGE
    if planes := options.get("metadata", {}).get("axes") == "CYX":
        level = np.moveaxis(LARGE, 2, 0)
        options["photometric"] = "minisblack"
    if options.get("planarconfig") == "separate":
        level = np.moveaxis(LARGE, 2, 0)
    with tifffile.TiffWriter(path, ome=path.name.endswith(".ome.tif")) as tiff:
        tiff.write(level, subifds=2, **options)
        options.pop("metadata", None)
        for factor in (2, 4):
            smaller = LARGE[::factor, ::factor]
            if planes or options.get("planarconfig") == "separate":
                smaller = np.moveaxis(smaller, 2, 0)
            tiff.write(smaller, subfiletype=1, **options)
    return path


@pytest.mark.usefixtures("tile_by_tile")
def test_crops_of_a_pyramid_are_those_of_the_whole_image(pyramid):
    whole = tifffile.imread(pyramid)
    whole = np.moveaxis(whole, 0, 2) if whole.shape[0] == 3 else whole
    centres = [(165, 100), (0, 0), (330, 200), (3, 120), (329.6, 0.4), (-9, 50), (100.5, 63.5)]
    with open_slide(pyramid) as image:
        assert image.size == image_size(pyramid) == (330, 200)
        assert not isinstance(image._pixels, np.ndarray) or pyramid.name == "memory.tif"
        for x_y in centres:
            for side in (1, 20, 65, 300, 401):
                centre = np.array(x_y, dtype=np.float64)
                expected = crop(whole, centre, side)
                np.testing.assert_array_equal(image.crop(centre, side), expected)
        np.testing.assert_array_equal(image.overview(7), whole[::7, ::7])


@pytest.mark.usefixtures("tile_by_tile")
def test_threads_get_the_same_crops_and_few_tiles_are_cached(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", LARGE, tile=(64, 48), compression="jpeg")
    centres = RNG.uniform(0, 200, (200, 2))
    with open_slide(tmp_path / "a.tif") as image, ThreadPoolExecutor(4) as pool:
        alone = [image.crop(centre, 70) for centre in centres]
        together = list(pool.map(lambda centre: image.crop(centre, 70), centres))
        pixels: Any = image._pixels
        assert len(pixels._cache) == 2
    np.testing.assert_array_equal(alone, together)


@pytest.mark.usefixtures("tile_by_tile")
def test_crops_in_the_slides_order_decode_each_tile_about_once(tmp_path, monkeypatch):
    monkeypatch.setattr(slide, "BLOCK", 64)
    monkeypatch.setattr(tiff, "CACHE_BYTES", 8 * 64 * 48 * 3)  # of 28
    tifffile.imwrite(tmp_path / "a.tif", LARGE, tile=(64, 48), photometric="rgb")
    x, y = np.mgrid[32:320:8, 32:190:8]
    centres = RNG.permutation(np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64))
    with open_slide(tmp_path / "a.tif") as image:
        order = image.reading_order(centres)
        assert sorted(order) == list(range(len(centres)))
        decoded: list[int] = []
        pixels: Any = image._pixels
        decode = pixels._decode

        def counting(page, number):
            decoded.append(number)
            return decode(page, number)

        monkeypatch.setattr(pixels, "_decode", counting)
        for centre in centres[order]:
            image.crop(centre, 8)
        n_ordered = len(decoded)
        for centre in centres:
            image.crop(centre, 8)
    assert n_ordered < 3 * 28 < (len(decoded) - n_ordered) / 5


@pytest.mark.usefixtures("tile_by_tile")
@pytest.mark.parametrize("space", ["rgb", "ycbcr"])
def test_tiles_that_were_never_written_are_empty(tmp_path, space):
    # as scanners leave out glass: no bytes for a tile
    pixels = LARGE if space == "rgb" else np.asarray(Image.fromarray(LARGE).convert("YCbCr"))
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(64, 48), photometric=space)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        page: Any = tiff.pages[0]
        page.tags["TileByteCounts"].overwrite([0, *page.databytecounts[1:]])
    with open_slide(tmp_path / "a.tif") as image:
        assert (image.crop(np.array([24.0, 24.0]), 48) == 0).all()
        patch = image.crop(np.array([72.0, 24.0]), 48).astype(int)
        assert np.abs(patch - LARGE[:48, 48:96]).max() <= (0 if space == "rgb" else 3)


@pytest.mark.usefixtures("tile_by_tile")
@pytest.mark.parametrize("damage", ["overwritten", "cut off"])
def test_a_broken_tile_names_the_file(tmp_path, damage):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, LARGE, tile=(64, 48), compression="jpeg")
    with tifffile.TiffFile(path) as tiff:
        start, size = tiff.pages[0].dataoffsets[-1], tiff.pages[0].databytecounts[-1]
    content = path.read_bytes()
    rest = bytes(size) + content[start + size :] if damage == "overwritten" else content[start:-9]
    path.write_bytes(content[:start] + rest)
    message = r"a\.tif: cannot be read as an image .*; get it again"
    with pytest.raises(DataError, match=message), open_slide(path) as image:
        image.crop(np.array([325.0, 195.0]), 8)


def test_a_huge_image_that_cannot_be_read_in_parts_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "MAX_WHOLE_PIXELS", 10_000)
    monkeypatch.setattr(flat, "MAX_BYTES", 50_000)
    Image.fromarray(LARGE).save(tmp_path / "a.jpg")
    tifffile.imwrite(tmp_path / "a.tif", LARGE, compression="lzw", rowsperstrip=200)
    for name in ("a.jpg", "a.tif"):
        message = rf"{re.escape(name)}: 330 x 200 pixels would have to be read at once; convert"
        with pytest.raises(DataError, match=message), open_slide(tmp_path / name):
            pass


@pytest.mark.parametrize("whole", [10_000, 1_000_000])
def test_the_planes_of_imagej_are_colours(tmp_path, monkeypatch, whole):
    monkeypatch.setattr(tiff, "MAX_WHOLE_PIXELS", whole)
    planes = np.ascontiguousarray(np.moveaxis(LARGE, 2, 0))
    tifffile.imwrite(tmp_path / "a.tif", planes, imagej=True, metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "b.tif", LARGE, imagej=True)
    for name in ("a.tif", "b.tif"):
        with open_slide(tmp_path / name) as image:
            np.testing.assert_array_equal(image.overview(1), LARGE)


def pages(path, *arrays, **options):
    with tifffile.TiffWriter(path) as writer:
        for array in arrays:
            writer.write(array, photometric="rgb", metadata=None, **options)


@pytest.mark.usefixtures("tile_by_tile")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_the_slide_is_the_largest_image_wherever_it_stands(tmp_path, order):
    levels = [LARGE, np.ascontiguousarray(LARGE[::4, ::4]), np.full((90, 20, 3), 9, np.uint8)]
    pages(tmp_path / "a.tif", *(levels[i] for i in order), tile=(64, 48), compression="deflate")
    assert image_size(tmp_path / "a.tif") == (330, 200)
    with open_slide(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(image.overview(1), LARGE)


def test_a_mask_of_the_slides_size_is_not_the_slide(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(LARGE[:, :, 0], photometric="minisblack", metadata=None)
        writer.write(LARGE, photometric="rgb", metadata=None)
    with open_slide(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(image.overview(1), LARGE)


def test_a_thumbnail_is_not_taken_for_a_slide_that_is_not_rgb(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.ascontiguousarray(LARGE[::4, ::4]), photometric="rgb", metadata=None)
        writer.write(LARGE.astype(np.uint16), photometric="rgb", metadata=None)
    for read in (image_size, lambda path: open_slide(path).__enter__()):
        with pytest.raises(DataError, match=r"a\.tif: its pixels are uint16 \(16 bits"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("other", [LARGE, 255 - LARGE])
def test_of_images_of_one_size_none_is_chosen(tmp_path, other):
    pages(tmp_path / "a.tif", LARGE, other)
    message = r"a\.tif: .* 330 x 200 pixels, and none is marked as the slide; save the H&E"
    with pytest.raises(DataError, match=message):
        image_size(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_an_orientation_is_reported_and_pixels_count_as_stored(tmp_path, capsys, orientation):
    tag = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", LARGE, photometric="rgb", extratags=tag, metadata=None)
    Image.fromarray(LARGE).save(tmp_path / "a.png", exif=exif(orientation))
    Image.fromarray(LARGE).save(tmp_path / "a.jpg", exif=exif(orientation))
    for name in ("a.tif", "a.png", "a.jpg"):
        assert image_size(tmp_path / name) == (330, 200)
        message = f"{name}: its orientation tag is {orientation}, which image viewers apply"
        assert (message in capsys.readouterr().out) == (orientation != 1)


def exif(orientation):
    tags = Image.Exif()
    tags[274] = orientation
    return tags
