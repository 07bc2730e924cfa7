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
# CIE L*a*b* under D50 to linear sRGB (Lindbloom, "RGB/XYZ matrices", adapted by Bradford's method).
_D50 = np.array([0.96422, 1.0, 0.82521], dtype=np.float32)
_FROM_XYZ = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ],
    dtype=np.float32,
)
_BEND = 6 / 29  # where the cube root of L*a*b* becomes a line


def first_three(pixels: Pixels) -> RGB:
    """Return the colours of pixels that have them first; nothing is copied."""
    return pixels[:, :, :SAMPLES]


def from_ycbcr(pixels: Pixels) -> RGB:
    """Return the colours of luma and chroma."""
    shifted = pixels[:, :, :SAMPLES].astype(np.float32) - np.array([0, 128, 128], np.float32)
    return _bytes(shifted @ _FROM_YCBCR.T)


def from_cielab(pixels: Pixels) -> RGB:
    """Return the colours of L*a*b* as TIFF has it: a and b are signed (TIFF 6.0, section 23)."""
    return _from_lab(pixels[:, :, :1], np.ascontiguousarray(pixels[:, :, 1:SAMPLES]).view(np.int8))


def from_icclab(pixels: Pixels) -> RGB:
    """Return the colours of L*a*b* as ICC profiles have it: a and b are shifted by 128."""
    return _from_lab(pixels[:, :, :1], pixels[:, :, 1:SAMPLES].astype(np.float32) - 128)


def _from_lab(lightness: Pixels, chroma: np.ndarray) -> RGB:
    root = (lightness.astype(np.float32) / 2.55 + 16) / 116
    a, b = chroma[:, :, :1] / np.float32(500), chroma[:, :, 1:] / np.float32(200)
    roots = np.concatenate([root + a, root, root - b], axis=2)
    xyz = _D50 * np.where(roots > _BEND, roots**3, 3 * _BEND**2 * (roots - 4 / 29))
    linear = (xyz @ _FROM_XYZ.T).clip(0, 1)
    bent = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)  # noqa: PLR2004 - IEC 61966-2-1
    return _bytes(255 * bent)


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
        return np.asarray(colours[pixels[:, :, 0]])

    return look_up


def in_bands(pixels: Pixels, convert: Conversion) -> RGB:
    """Convert an image in little more memory than it and its result have."""
    if convert is first_three:
        return first_three(pixels)
    found = np.empty((*pixels.shape[:2], SAMPLES), np.uint8)
    step = max(_BAND // max(pixels.shape[1], 1), 1)
    for top in range(0, len(pixels), step):
        found[top : top + step] = convert(pixels[top : top + step])
    return found


def _bytes(colours: np.ndarray) -> RGB:
    return np.asarray(colours.round().clip(0, 255), dtype=np.uint8)
