import numpy as np
import pytest

from cell_synergy.raw.images import Slide, on_tissue


def _masks(image, centres_um, rule, mpp=0.5):
    inside, has_tissue = on_tissue(Slide(image), np.array(centres_um, dtype=np.float64), mpp, rule)
    return inside.tolist(), has_tissue.tolist()


def test_glass_masked_pixels_and_tissue_are_distinguished(rule):
    image = np.full((100, 300, 3), 250, np.uint8)  # glass
    image[:, 100:200] = 3  # masked out
    image[:, 200:] = (200, 120, 180)  # tissue
    centres = [(25, 25), (75, 25), (125, 25)]
    assert _masks(image, centres, rule) == ([True] * 3, [False, False, True])


@pytest.mark.parametrize(("share", "expected"), [(3, False), (4, True), (16, True)])
def test_a_quarter_of_tissue_is_enough(rule, share, expected):
    image = np.full((16, 16, 3), 255, np.uint8)
    image.reshape(-1, 3)[: 16 * share] = 128
    assert _masks(image, [(4, 4)], rule) == ([True], [expected])


def test_a_square_must_lie_inside_up_to_the_very_border(rule):
    image = np.full((40, 80, 3), 128, np.uint8)  # 20 x 40 um, squares of 8 um
    centres = [(4, 4), (36, 16), (3.9, 10), (20, 3.9), (36.1, 10), (20, 16.1), (-5, 5)]
    expected = [True, True, False, False, False, False, False]
    assert _masks(image, centres, rule) == (expected, expected)


def test_brightness_limits_are_of_the_mean_colour(rule):
    image = np.full((16, 16, 3), (255, 255, 90), np.uint8)  # mean 200: stained, not glass
    assert _masks(image, [(4, 4)], rule) == ([True], [True])
