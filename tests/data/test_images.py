import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from cell_synergy.core.errors import DataError
from cell_synergy.data import images
from cell_synergy.data.images import Slide, image_size, on_tissue, open_slide

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def crop(image, centre, side):
    return Slide(image).crop(centre, side)


def read_image(path):
    with open_slide(path) as slide:
        return slide.overview(1)


@pytest.mark.parametrize(
    ("left", "top", "side"), [(25, 15, 10), (0, 0, 10), (50, 30, 10), (9, 9, 7)]
)
def test_a_crop_inside_is_the_plain_slice(left, top, side):
    found = crop(IMAGE, np.array([left + side / 2, top + side / 2]), side)
    np.testing.assert_array_equal(found, IMAGE[top : top + side, left : left + side])


@pytest.mark.parametrize("centre", [(0, 0), (60, 40), (2, 20), (30, 39), (59.6, 0.4), (-3, 50)])
@pytest.mark.parametrize("side", [9, 20, 64, 301])
def test_a_crop_beyond_the_border_is_reflected_like_numpys_pad(centre, side):
    width = 400
    padded = np.pad(IMAGE, ((width, width), (width, width), (0, 0)), mode="reflect")
    inner = crop(padded, np.array(centre, dtype=np.float64) + width, side)
    np.testing.assert_array_equal(crop(IMAGE, np.array(centre, dtype=np.float64), side), inner)


def test_an_image_of_one_pixel_fills_the_crop():
    pixel = np.full((1, 1, 3), 7, np.uint8)
    assert (crop(pixel, np.array([0.5, 0.5]), 5) == 7).all()


def test_crops_follow_the_centre_to_the_nearest_pixel():
    base = crop(IMAGE, np.array([30.0, 20.0]), 8)
    np.testing.assert_array_equal(crop(IMAGE, np.array([30.4, 19.6]), 8), base)
    np.testing.assert_array_equal(
        crop(IMAGE, np.array([31.0, 20.0]), 8)[:, :-1],
        crop(IMAGE, np.array([30.0, 20.0]), 8)[:, 1:],
    )


def _judge(image, centres_um, rule, mpp=0.5):
    inside, shown = on_tissue(Slide(image), np.array(centres_um, dtype=np.float64), mpp, rule)
    return inside.tolist(), shown.tolist()


def test_glass_mask_and_tissue_are_told_apart(rule):
    image = np.full((100, 300, 3), 250, np.uint8)  # glass
    image[:, 100:200] = 3  # masked out
    image[:, 200:] = (200, 120, 180)  # tissue
    centres = [(25, 25), (75, 25), (125, 25)]
    assert _judge(image, centres, rule) == ([True] * 3, [False, False, True])


@pytest.mark.parametrize(("share", "kept"), [(3, False), (4, True), (16, True)])
def test_a_quarter_of_tissue_is_enough(rule, share, kept):
    image = np.full((16, 16, 3), 255, np.uint8)
    image.reshape(-1, 3)[: 16 * share] = 128
    assert _judge(image, [(4, 4)], rule) == ([True], [kept])


def test_a_square_must_lie_inside_up_to_the_very_border(rule):
    image = np.full((40, 80, 3), 128, np.uint8)  # 20 x 40 um, squares of 8 um
    centres = [(4, 4), (36, 16), (3.9, 10), (20, 3.9), (36.1, 10), (20, 16.1), (-5, 5)]
    expected = [True, True, False, False, False, False, False]
    assert _judge(image, centres, rule) == (expected, expected)


def test_brightness_limits_are_of_the_mean_colour(rule):
    image = np.full((16, 16, 3), (255, 255, 90), np.uint8)  # mean 200: stained, not glass
    assert _judge(image, [(4, 4)], rule) == ([True], [True])


def test_images_are_read_as_rgb_and_lose_their_alpha(tmp_path):
    rgba = np.dstack([IMAGE, np.full((40, 60), 255, np.uint8)])
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(rgba))
    tifffile.imwrite(tmp_path / "a.TIF", IMAGE, photometric="rgb")
    for name in ("a.png", "a.TIF"):
        np.testing.assert_array_equal(read_image(tmp_path / name), IMAGE)


def test_images_that_cannot_be_used_are_named_with_the_remedy(tmp_path):
    tifffile.imwrite(tmp_path / "deep.tif", IMAGE.astype(np.uint16), photometric="rgb")
    tifffile.imwrite(tmp_path / "grey.tif", IMAGE[..., 0])
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 not all of it")
    (tmp_path / "torn.tif").write_bytes(b"II*\0")
    cases = {
        "deep.tif": r"uint16 of shape \(40, 60, 3\) is not an 8-bit RGB image; convert",
        "grey.tif": r"uint8 of shape \(40, 60\) is not",
        "torn.jpg": "cannot be read as an image .*; get it again",
        "torn.tif": "cannot be read as an image .*; get it again",
        "none.tif": r"no such image; run `dvc repro download`",
    }
    for name, message in cases.items():
        with pytest.raises(DataError, match=rf"(?s){name}: {message}"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("step", [1, 7, 1500])
def test_an_overview_is_every_nth_pixel(monkeypatch, step):
    monkeypatch.setattr(images, "BLOCK", 16)
    found = Slide(IMAGE).overview(step)
    np.testing.assert_array_equal(found, IMAGE[::step, ::step])


LARGE = RNG.integers(0, 256, (200, 330, 3), dtype=np.uint8)
WAYS: dict[str, dict[str, Any]] = {
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
def lazily(monkeypatch):
    """Let images of more than a few pixels be large, and keep two tiles."""
    monkeypatch.setattr(images, "WHOLE", 10_000)
    monkeypatch.setattr(images, "CACHE", 2 * 64 * 48 * 3)


@pytest.fixture(params=WAYS)
def pyramid(request, tmp_path):
    """Return a file of LARGE, half and a quarter of it, written in some way."""
    path = tmp_path / request.param
    options: dict[str, Any] = {"photometric": "rgb", **WAYS[request.param]}
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


@pytest.mark.usefixtures("lazily")
def test_crops_of_a_pyramid_are_those_of_the_whole_image(pyramid):
    whole = tifffile.imread(pyramid)
    whole = np.moveaxis(whole, 0, 2) if whole.shape[0] == 3 else whole
    places = [(165, 100), (0, 0), (330, 200), (3, 120), (329.6, 0.4), (-9, 50), (100.5, 63.5)]
    with open_slide(pyramid) as slide:
        assert slide.size == image_size(pyramid) == (330, 200)
        assert not isinstance(slide._pixels, np.ndarray) or pyramid.name == "memory.tif"
        for place in places:
            for side in (1, 20, 65, 300, 401):
                centre = np.array(place, dtype=np.float64)
                expected = crop(whole, centre, side)
                np.testing.assert_array_equal(slide.crop(centre, side), expected)
        np.testing.assert_array_equal(slide.overview(7), whole[::7, ::7])


@pytest.mark.usefixtures("lazily")
def test_threads_get_the_same_crops_and_few_tiles_are_kept(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", LARGE, tile=(64, 48), compression="jpeg")
    centres = RNG.uniform(0, 200, (200, 2))
    with open_slide(tmp_path / "a.tif") as slide, ThreadPoolExecutor(4) as pool:
        alone = [slide.crop(centre, 70) for centre in centres]
        together = list(pool.map(lambda centre: slide.crop(centre, 70), centres))
        pixels: Any = slide._pixels
        assert len(pixels._kept) == 2
    np.testing.assert_array_equal(alone, together)


@pytest.mark.usefixtures("lazily")
def test_crops_in_the_slides_order_decode_each_tile_about_once(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "BLOCK", 64)
    monkeypatch.setattr(images, "CACHE", 8 * 64 * 48 * 3)  # of 28
    tifffile.imwrite(tmp_path / "a.tif", LARGE, tile=(64, 48), photometric="rgb")
    x, y = np.mgrid[32:320:8, 32:190:8]
    centres = RNG.permutation(np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64))
    with open_slide(tmp_path / "a.tif") as slide:
        order = slide.order(centres)
        assert sorted(order) == list(range(len(centres)))
        decoded: list[int] = []
        pixels: Any = slide._pixels
        decode = pixels._decoded

        def counted(page, number):
            decoded.append(number)
            return decode(page, number)

        monkeypatch.setattr(pixels, "_decoded", counted)
        for centre in centres[order]:
            slide.crop(centre, 8)
        kept = len(decoded)
        for centre in centres:
            slide.crop(centre, 8)
    assert kept < 3 * 28 < (len(decoded) - kept) / 5


def test_units_of_an_image_in_memory_keep_their_order():
    np.testing.assert_array_equal(Slide(IMAGE).order(RNG.uniform(0, 40, (5, 2))), range(5))


@pytest.mark.usefixtures("lazily")
def test_tiles_that_were_never_written_are_empty(tmp_path):
    # as scanners leave out glass: no bytes for a tile
    tifffile.imwrite(tmp_path / "a.tif", LARGE, tile=(64, 48), photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        page: Any = tiff.pages[0]
        page.tags["TileByteCounts"].overwrite([0, *page.databytecounts[1:]])
    with open_slide(tmp_path / "a.tif") as slide:
        assert (slide.crop(np.array([24.0, 24.0]), 48) == 0).all()
        np.testing.assert_array_equal(slide.crop(np.array([72.0, 24.0]), 48), LARGE[:48, 48:96])


@pytest.mark.usefixtures("lazily")
@pytest.mark.parametrize("damage", ["overwritten", "cut off"])
def test_a_broken_tile_names_the_file(tmp_path, damage):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, LARGE, tile=(64, 48), compression="jpeg")
    with tifffile.TiffFile(path) as tiff:
        start, size = tiff.pages[0].dataoffsets[-1], tiff.pages[0].databytecounts[-1]
    content = path.read_bytes()
    rest = bytes(size) + content[start + size :] if damage == "overwritten" else content[start:-9]
    path.write_bytes(content[:start] + rest)
    with open_slide(path) as slide:
        slide.crop(np.array([10.0, 10.0]), 8)
        with pytest.raises(DataError, match=r"a\.tif: cannot be read as an image .*; get it again"):
            slide.crop(np.array([325.0, 195.0]), 8)


def test_what_would_have_to_be_read_at_once_is_refused_if_it_is_huge(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "WHOLE", 10_000)
    monkeypatch.setattr(images, "LARGEST", 50_000)
    Image.fromarray(LARGE).save(tmp_path / "a.jpg")
    tifffile.imwrite(tmp_path / "a.tif", LARGE, compression="lzw", rowsperstrip=200)
    for name in ("a.jpg", "a.tif"):
        message = rf"{re.escape(name)}: 330 x 200 pixels would have to be read at once; convert"
        with pytest.raises(DataError, match=message), open_slide(tmp_path / name):
            pass
