import numpy as np
import pytest

from cell_synergy.raw.images import Slide, slide

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def crop(image, centre, side):
    return Slide(image).crop(centre, side)


@pytest.mark.parametrize(
    ("left", "top", "side"), [(25, 15, 10), (0, 0, 10), (50, 30, 10), (9, 9, 7)]
)
def test_a_crop_inside_is_the_plain_slice(left, top, side):
    patch = crop(IMAGE, np.array([left + side / 2, top + side / 2]), side)
    np.testing.assert_array_equal(patch, IMAGE[top : top + side, left : left + side])


@pytest.mark.parametrize("centre", [(0, 0), (60, 40), (2, 20), (30, 39), (59.6, 0.4), (-3, 50)])
@pytest.mark.parametrize("side", [9, 20, 64, 301])
def test_a_crop_beyond_the_border_is_reflected_like_numpys_pad(centre, side):
    width = 400
    padded = np.pad(IMAGE, ((width, width), (width, width), (0, 0)), mode="reflect")
    expected = crop(padded, np.array(centre, dtype=np.float64) + width, side)
    np.testing.assert_array_equal(crop(IMAGE, np.array(centre, dtype=np.float64), side), expected)


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


@pytest.mark.parametrize("step", [1, 7, 1500])
def test_an_overview_is_every_nth_pixel(monkeypatch, step):
    monkeypatch.setattr(slide, "BLOCK", 16)
    overview = Slide(IMAGE).overview(step)
    np.testing.assert_array_equal(overview, IMAGE[::step, ::step])


def test_crops_of_an_image_in_memory_keep_their_order():
    np.testing.assert_array_equal(Slide(IMAGE).reading_order(RNG.uniform(0, 40, (5, 2))), range(5))
