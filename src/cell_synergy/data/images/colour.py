"""Colours of other spaces than RGB, as far as numbers alone define them."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

Pixels = UInt8[np.ndarray, "rows columns samples"]
RGB = UInt8[np.ndarray, "rows columns 3"]
Conversion = Callable[[Pixels], RGB]

SAMPLES = 3
_BAND = 2**22  # pixels that are converted at a time
# Full range, as in JFIF 1.02 and TIFF 6.0 (section 21, default coefficients).
_FROM_YCBCR = np.array(
    [[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]], dtype=np.float32
)


def first_three(pixels: Pixels) -> RGB:
    """Return the colours of pixels that have them first; nothing is copied."""
    return pixels[:, :, :SAMPLES]


def from_ycbcr(pixels: Pixels) -> RGB:
    """Return the colours of luma and chroma."""
    shifted = pixels[:, :, :SAMPLES].astype(np.float32) - np.array([0, 128, 128], np.float32)
    return _bytes(shifted @ _FROM_YCBCR.T)


def from_cmyk(pixels: Pixels) -> RGB:
    """Return the colours of amounts of ink, as they are without a profile of the printer."""
    light = 255 - pixels.astype(np.float32)
    return _bytes(light[:, :, :SAMPLES] * light[:, :, SAMPLES:4] / 255)


def from_inverted_cmyk(pixels: Pixels) -> RGB:
    """Return the colours of Adobe's JPEGs, in which 255 is no ink."""
    light = pixels.astype(np.float32)
    return _bytes(light[:, :, :SAMPLES] * light[:, :, SAMPLES:4] / 255)


def on_white(pixels: Pixels) -> RGB:
    """Return the colours on bare glass, where the fourth sample says how opaque they are."""
    alpha = pixels[:, :, SAMPLES:4]
    if (alpha == 255).all():  # noqa: PLR2004 - opaque
        return pixels[:, :, :SAMPLES]
    share = alpha.astype(np.float32) / 255
    return _bytes(pixels[:, :, :SAMPLES] * share + 255 * (1 - share))


def premultiplied_on_white(pixels: Pixels) -> RGB:
    """Return the colours on bare glass, which are already multiplied by how opaque they are."""
    return _bytes(pixels[:, :, :SAMPLES].astype(np.float32) + (255.0 - pixels[:, :, SAMPLES:4]))


def from_palette(colours: UInt8[np.ndarray, "colours 3"]) -> Conversion:
    """Return the conversion of pixels that are rows of a palette."""

    def look_up(pixels: Pixels) -> RGB:
        return colours[pixels[:, :, 0]]

    return look_up


def in_bands(pixels: Pixels, convert: Conversion) -> RGB:
    """Convert an image in little more memory than it and its result have."""
    found = np.empty((*pixels.shape[:2], SAMPLES), np.uint8)
    step = max(_BAND // max(pixels.shape[1], 1), 1)
    for top in range(0, len(pixels), step):
        found[top : top + step] = convert(pixels[top : top + step])
    return found


def _bytes(colours: np.ndarray) -> RGB:
    return np.asarray(colours.round().clip(0, 255), dtype=np.uint8)
