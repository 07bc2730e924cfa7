"""Conversion of pixels from other colour spaces, without device profiles, to 8-bit RGB."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

Pixels = UInt8[np.ndarray, "rows columns samples"]
RGB = UInt8[np.ndarray, "rows columns 3"]
Conversion = Callable[[Pixels], RGB]

RGB_SAMPLES = 3  # samples per pixel of an RGB image
_BAND_PIXELS = 2**22  # pixels that are converted at a time
# Full range, as in JFIF 1.02 and TIFF 6.0 (section 21, default coefficients).
_YCBCR_TO_RGB = np.array(
    [[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]], dtype=np.float32
)
# CIE L*a*b* under D50 to linear sRGB (Lindbloom, "RGB/XYZ matrices", adapted by Bradford's method).
_D50 = np.array([0.96422, 1.0, 0.82521], dtype=np.float32)
_XYZ_TO_RGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ],
    dtype=np.float32,
)
_LAB_DELTA = 6 / 29  # below this value the inverse of the cube root in L*a*b* is linear


def take_rgb(pixels: Pixels) -> RGB:
    """Return the first three samples, which are red, green and blue, as a view."""
    return pixels[:, :, :RGB_SAMPLES]


def from_ycbcr(pixels: Pixels) -> RGB:
    """Convert full-range YCbCr (JFIF 1.02) to RGB."""
    shifted = pixels[:, :, :RGB_SAMPLES].astype(np.float32) - np.array([0, 128, 128], np.float32)
    return _to_uint8(shifted @ _YCBCR_TO_RGB.T)


def from_cielab(pixels: Pixels) -> RGB:
    """Convert L*a*b* as stored in TIFF, where a and b are signed (TIFF 6.0, section 23), to RGB."""
    chroma = np.ascontiguousarray(pixels[:, :, 1:RGB_SAMPLES]).view(np.int8)
    return _from_lab(pixels[:, :, :1], chroma)


def from_icclab(pixels: Pixels) -> RGB:
    """Convert L*a*b* as in ICC profiles, where a and b are offset by 128, to RGB."""
    chroma = pixels[:, :, 1:RGB_SAMPLES].astype(np.float32) - 128
    return _from_lab(pixels[:, :, :1], chroma)


def _from_lab(lightness: Pixels, chroma: np.ndarray) -> RGB:
    root = (lightness.astype(np.float32) / 2.55 + 16) / 116
    a, b = chroma[:, :, :1] / np.float32(500), chroma[:, :, 1:] / np.float32(200)
    roots = np.concatenate([root + a, root, root - b], axis=2)
    xyz = _D50 * np.where(roots > _LAB_DELTA, roots**3, 3 * _LAB_DELTA**2 * (roots - 4 / 29))
    linear = (xyz @ _XYZ_TO_RGB.T).clip(0, 1)
    srgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)  # noqa: PLR2004 - IEC 61966-2-1
    return _to_uint8(255 * srgb)


def from_cmyk(pixels: Pixels) -> RGB:
    """Convert CMYK to RGB without a printer's profile."""
    inverted = 255 - pixels.astype(np.float32)
    return _to_uint8(inverted[:, :, :RGB_SAMPLES] * inverted[:, :, RGB_SAMPLES:4] / 255)


def from_inverted_cmyk(pixels: Pixels) -> RGB:
    """Convert CMYK as Adobe writes it in JPEG files, where 255 means no ink, to RGB."""
    inverted = pixels.astype(np.float32)
    return _to_uint8(inverted[:, :, :RGB_SAMPLES] * inverted[:, :, RGB_SAMPLES:4] / 255)


def composite_on_white(pixels: Pixels) -> RGB:
    """Composite RGBA pixels over white, the colour of bare glass."""
    alpha = pixels[:, :, RGB_SAMPLES:4]
    if (alpha == 255).all():  # noqa: PLR2004 - opaque
        return pixels[:, :, :RGB_SAMPLES]
    opacity = alpha.astype(np.float32) / 255
    return _to_uint8(pixels[:, :, :RGB_SAMPLES] * opacity + 255 * (1 - opacity))


def composite_premultiplied_on_white(pixels: Pixels) -> RGB:
    """Composite RGBA pixels with premultiplied alpha over white, the colour of bare glass."""
    colours = pixels[:, :, :RGB_SAMPLES].astype(np.float32)
    return _to_uint8(colours + (255.0 - pixels[:, :, RGB_SAMPLES:4]))


def from_palette(palette: UInt8[np.ndarray, "colours 3"]) -> Conversion:
    """Return the conversion of pixels whose values are row indices of a palette."""

    def look_up(pixels: Pixels) -> RGB:
        return np.asarray(palette[pixels[:, :, 0]])

    return look_up


def convert_in_bands(pixels: Pixels, convert: Conversion) -> RGB:
    """Convert an image one band of rows at a time, which bounds the memory of intermediates.

    Parameters
    ----------
    pixels
        8-bit samples, rows x columns x samples.
    convert
        One of the conversions of this module.

    Returns
    -------
    8-bit RGB; a view of `pixels` if the conversion is `take_rgb`.
    """
    if convert is take_rgb:
        return take_rgb(pixels)
    rgb = np.empty((*pixels.shape[:2], RGB_SAMPLES), np.uint8)
    step = max(_BAND_PIXELS // max(pixels.shape[1], 1), 1)
    for top in range(0, len(pixels), step):
        rgb[top : top + step] = convert(pixels[top : top + step])
    return rgb


def _to_uint8(colours: np.ndarray) -> RGB:
    return np.asarray(colours.round().clip(0, 255), dtype=np.uint8)
