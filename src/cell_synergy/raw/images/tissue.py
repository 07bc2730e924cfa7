"""Detection of observations on tissue."""

import numpy as np
from jaxtyping import Bool, Float
from pydantic import PositiveFloat

from cell_synergy.core.config import Config
from cell_synergy.raw.images.slide import Slide


class TissueConfig(Config):
    """Thresholds for tissue in an H&E image.

    Attributes
    ----------
    field_um
        Side of the square around an observation that must lie inside the image, in micrometres.
    white, black
        Brightness of a pixel (mean of red, green and blue, 0 to 1) from which it is bare glass, and
        up to which it is masked out.
    least
        Minimum share of tissue pixels in the square of an observation that counts as on tissue.
    """

    field_um: PositiveFloat
    white: PositiveFloat
    black: PositiveFloat
    least: PositiveFloat


def on_tissue(
    slide: Slide,
    centres_um: Float[np.ndarray, "obs 2"],
    mpp: float,
    rule: TissueConfig,
) -> tuple[Bool[np.ndarray, " obs"], Bool[np.ndarray, " obs"]]:
    """Return two masks: observations inside the image, and the subset of these on tissue.

    An observation is inside if the square around it is. It is on tissue if at least the share
    `rule.least` of the square's pixels is darker than `rule.white` and brighter than `rule.black`.

    Parameters
    ----------
    slide
        The image.
    centres_um
        Centres of the observations, x and y in micrometres.
    mpp
        Micrometres per pixel of the image.
    rule
        Side of the square around each centre, and thresholds of tissue.

    Raises
    ------
    DataError
        If a tile of the image is damaged.
    """
    side = max(round(rule.field_um / mpp), 1)
    centres = centres_um / mpp
    width, height = slide.size
    inside = (
        (centres >= side / 2).all(axis=1)
        & (centres[:, 0] <= width - side / 2)
        & (centres[:, 1] <= height - side / 2)
    )
    has_tissue = np.zeros(len(centres), dtype=bool)
    rows = np.flatnonzero(inside)
    for row in rows[slide.reading_order(centres[rows])]:
        brightness = slide.crop(centres[row], side).mean(axis=2) / 255
        share = ((brightness < rule.white) & (brightness > rule.black)).mean()
        has_tissue[row] = share >= rule.least
    return inside, has_tissue
