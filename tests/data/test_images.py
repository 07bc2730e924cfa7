import imagecodecs
import numpy as np
import pytest
import tifffile

from cell_synergy.core.errors import DataError
from cell_synergy.data.images import crop, on_tissue, read_image

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)


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
    inside, shown = on_tissue(image, np.array(centres_um, dtype=np.float64), mpp, rule)
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
