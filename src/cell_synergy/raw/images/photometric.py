"""Colour space of a TIFF by its tags, and selection of the conversion to RGB."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import UInt8

from cell_synergy.core.errors import DataError
from cell_synergy.raw.images import colour
from cell_synergy.raw.images.formats import not_rgb_message

CHANNEL_AXIS = {"YXS": 2, "SYX": 0, "CYX": 0}  # axis of the channels, by the order of axes
JPEG_COMPRESSIONS = {6, 7, 33007, 34892}  # JPEG, decoded from YCbCr to RGB
_BITS, _INKS = 8, 4
_JPEG_2000, _APERIO_YCBCR = 34712, 33003  # the photometric tag of the latter is RGB
_CODESTREAM, _XRSIZ = b"\xff\x4f\xff\x51", 46  # first bytes; offset of the chroma subsampling
_WHITE_POINT, _REFERENCE_BLACK_WHITE, _INK_SET = 318, 532, 332  # tags
_FULL_RANGE = (0, 255, 128, 255, 128, 255)
_NAMES = {"SEPARATED": "CMYK or other inks", "YCBCR": "YCbCr"}


def unsupported_colours(level: tifffile.TiffPageSeries) -> str:
    """Return a description of pixels that cannot be converted to 8-bit RGB; "" for all others.

    Parameters
    ----------
    level
        One level of an image of a TIFF.
    """
    page = level.keyframe
    space = _space(page)
    if level.dtype != np.uint8 or (page.bitspersample != _BITS and space != "PALETTE"):
        return f"{level.dtype} ({page.bitspersample} bits per sample)"
    channels = level.shape[CHANNEL_AXIS[level.axes]] if level.axes in CHANNEL_AXIS else 1
    is_colour = space in {"RGB", "YCBCR", "SEPARATED", "CIELAB", "ICCLAB"}
    if is_colour and level.axes in {"YXS", "SYX"}:
        return ""
    # Three grey channels are interpreted as red, green and blue; the order of four is unknown.
    three_grey = (space, channels) == ("MINISBLACK", colour.RGB_SAMPLES)
    if three_grey and level.axes in CHANNEL_AXIS:
        return ""
    if space == "PALETTE" and level.axes == "YX":
        return ""
    if space in {"MINISBLACK", "MINISWHITE"} and channels < colour.RGB_SAMPLES:
        return "grayscale"
    return f"{channels} channels of {space}"


def rgb_conversion(path: Path, page: tifffile.TiffPage) -> colour.Conversion:
    """Return the function that converts the decoded samples of a TIFF to 8-bit RGB.

    Parameters
    ----------
    path
        The file, for messages.
    page
        First page of the slide, whose tags define the colour space.

    Raises
    ------
    DataError
        If the colours depend on a printer's profile or an unusual variant of the colour space.
    """
    space = _space(page)
    if page.compression == _APERIO_YCBCR and page.samplesperpixel == colour.RGB_SAMPLES:
        # the decoder converts to RGB only if the chroma is subsampled
        return colour.take_rgb if _has_subsampled_chroma(page) else colour.from_ycbcr
    convert = _SELECTORS[space](page)
    if convert is None or (page.compression in JPEG_COMPRESSIONS and page.extrasamples):
        raise DataError(not_rgb_message(path, f"{_NAMES.get(space, space)} of an unusual kind"))
    return convert


def _space(page: tifffile.TiffPage) -> str:
    space = page.photometric
    return space.name if isinstance(space, tifffile.PHOTOMETRIC) else f"kind {space}"


def _has_subsampled_chroma(page: tifffile.TiffPage) -> bool:
    """Read the chroma subsampling of JPEG 2000 from its first tile (ISO/IEC 15444-1, A.5.1)."""
    tiles = zip(page.dataoffsets, page.databytecounts, strict=True)
    start = next((offset for offset, size in tiles if size), 0)
    header = os.pread(page.parent.filehandle.fileno(), _XRSIZ + 1, start)
    return header[: len(_CODESTREAM)] == _CODESTREAM and header[_XRSIZ] > 1


def _select_rgb(page: tifffile.TiffPage) -> colour.Conversion:
    if not page.extrasamples:
        return colour.take_rgb
    by_alpha = {1: colour.composite_premultiplied_on_white, 2: colour.composite_on_white}
    return by_alpha.get(int(page.extrasamples[0]), colour.take_rgb)


def _select_ycbcr(page: tifffile.TiffPage) -> colour.Conversion | None:
    if page.compression in JPEG_COMPRESSIONS and page.planarconfig == tifffile.PLANARCONFIG.CONTIG:
        return colour.take_rgb  # the decoder converts to RGB
    levels = np.ravel(page.tags.valueof(_REFERENCE_BLACK_WHITE, _FULL_RANGE))
    if len(levels) > len(_FULL_RANGE):  # rationals: numerators and denominators alternate
        levels = levels[::2] / levels[1::2]
    full_range = np.array_equal(levels, _FULL_RANGE) and page.compression != _JPEG_2000
    return colour.from_ycbcr if full_range else None


def _select_cmyk(page: tifffile.TiffPage) -> colour.Conversion | None:
    """Return the conversion of CMYK, unless a printer's profile defines the colours of the inks."""
    is_cmyk = page.samplesperpixel == _INKS and page.tags.valueof(_INK_SET, 1) == 1
    has_profile = "InterColorProfile" in page.tags
    if is_cmyk and not has_profile and page.compression not in JPEG_COMPRESSIONS:
        return colour.from_cmyk
    return None


def _select_lab(page: tifffile.TiffPage) -> colour.Conversion | None:
    if page.compression in JPEG_COMPRESSIONS or page.extrasamples or _WHITE_POINT in page.tags:
        return None
    return colour.from_cielab if _space(page) == "CIELAB" else colour.from_icclab


def _select_palette(page: tifffile.TiffPage) -> colour.Conversion:
    colours = np.asarray(page.colormap).T
    if colours.max() > np.iinfo(np.uint8).max:  # 16 bits by the standard; some write 8
        colours = colours >> 8
    palette: UInt8[np.ndarray, "colours 3"] = colours.astype(np.uint8)
    return colour.from_palette(palette)


_SELECTORS: dict[str, Callable[[tifffile.TiffPage], colour.Conversion | None]] = {
    "RGB": _select_rgb,
    "MINISBLACK": lambda _: colour.take_rgb,
    "YCBCR": _select_ycbcr,
    "SEPARATED": _select_cmyk,
    "CIELAB": _select_lab,
    "ICCLAB": _select_lab,
    "PALETTE": _select_palette,
}
