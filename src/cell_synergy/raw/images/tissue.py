"""Which units lie on tissue."""

import numpy as np
from jaxtyping import Bool, Float
from pydantic import PositiveFloat

from cell_synergy.core.config import Config
from cell_synergy.raw.images.slide import Slide


class TissueRule(Config):
    """What counts as tissue in an H&E image.

    Attributes
    ----------
    field_um
        Side of the square around a unit that must lie inside the image, in micrometres.
    white, black
        Brightness (0 to 1) above which a pixel is bare glass, below which it is masked out.
    least
        Share of tissue pixels in that square under which a unit is off tissue.
    """

    field_um: PositiveFloat
    white: PositiveFloat
    black: PositiveFloat
    least: PositiveFloat


def on_tissue(
    slide: Slide,
    centres_um: Float[np.ndarray, "obs 2"],
    mpp: float,
    rule: TissueRule,
) -> tuple[Bool[np.ndarray, " obs"], Bool[np.ndarray, " obs"]]:
    """Say for each unit whether its square lies inside the image, and whether it shows tissue."""
    side = max(round(rule.field_um / mpp), 1)
    pixels = centres_um / mpp
    width, height = slide.size
    inside = (
        (pixels >= side / 2).all(axis=1)
        & (pixels[:, 0] <= width - side / 2)
        & (pixels[:, 1] <= height - side / 2)
    )
    shown = np.zeros(len(pixels), dtype=bool)
    rows = np.flatnonzero(inside)
    for row in rows[slide.order(pixels[rows])]:
        brightness = slide.crop(pixels[row], side).mean(axis=2) / 255
        share = ((brightness < rule.white) & (brightness > rule.black)).mean()
        shown[row] = share >= rule.least
    return inside, shown
