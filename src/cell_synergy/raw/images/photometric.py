"""What the tags of a TIFF say of its colours."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import UInt8

from cell_synergy.core.errors import DataError
from cell_synergy.raw.images import colour
from cell_synergy.raw.images.formats import no_rgb

ORDERS = {"YXS": 2, "SYX": 0, "CYX": 0}  # of height, width and colours; where the colours stand
JPEG = {6, 7, 33007, 34892}  # compressions; their decoder makes RGB of YCbCr
_BITS, _INKS = 8, 4
_JPEG_2000, _APERIO_YCBCR = 34712, 33003  # the latter's tag says RGB
_CODESTREAM, _STEP = b"\xff\x4f\xff\x51", 46  # its begin; where the step of its chroma stands
_WHITE_POINT, _LEVELS, _INK_SET = 318, 532, 332  # tags
_FULL_RANGE = (0, 255, 128, 255, 128, 255)
_NAMES = {"SEPARATED": "CMYK or other inks", "YCBCR": "YCbCr"}


def wrong_colours(level: tifffile.TiffPageSeries) -> str:
    """Say what the pixels of an image are if they are not colours of 8 bits, else nothing."""
    page = level.keyframe
    space = _space(page)
    if level.dtype != np.uint8 or (page.bitspersample != _BITS and space != "PALETTE"):
        return f"{level.dtype} ({page.bitspersample} bits per sample)"
    channels = level.shape[ORDERS[level.axes]] if level.axes in ORDERS else 1
    coloured = space in {"RGB", "YCBCR", "SEPARATED", "CIELAB", "ICCLAB"}
    # three channels are taken for red, green and blue; of four, none says which is which
    three = (space, channels) == ("MINISBLACK", colour.SAMPLES)
    if (coloured and level.axes in {"YXS", "SYX"}) or (three and level.axes in ORDERS):
        return ""
    if space == "PALETTE" and level.axes == "YX":
        return ""
    grey = space in {"MINISBLACK", "MINISWHITE"} and channels < colour.SAMPLES
    return "grayscale" if grey else f"{channels} channels of {space}"


def conversion(path: Path, page: tifffile.TiffPage) -> colour.Conversion:
    """Return what makes RGB of the samples that the decoder returns.

    Raises
    ------
    DataError
        If numbers alone do not say how.
    """
    space = _space(page)
    if page.compression == _APERIO_YCBCR and page.samplesperpixel == colour.SAMPLES:
        # the decoder makes RGB of chroma that is halved, and leaves the rest as it is
        return colour.first_three if _has_halved_chroma(page) else colour.from_ycbcr
    found = _CONVERSIONS[space](page)
    if found is None or (page.compression in JPEG and page.extrasamples):
        raise DataError(no_rgb(path, f"{_NAMES.get(space, space)} of an unusual kind"))
    return found


def _space(page: tifffile.TiffPage) -> str:
    space = page.photometric
    return space.name if isinstance(space, tifffile.PHOTOMETRIC) else f"kind {space}"


def _has_halved_chroma(page: tifffile.TiffPage) -> bool:
    """Say so of JPEG 2000, by the header of the first piece (ISO/IEC 15444-1, A.5.1: XRsiz)."""
    pieces = zip(page.dataoffsets, page.databytecounts, strict=True)
    start = next((offset for offset, size in pieces if size), 0)
    header = os.pread(page.parent.filehandle.fileno(), _STEP + 1, start)
    return header[: len(_CODESTREAM)] == _CODESTREAM and header[_STEP] > 1


def _of_rgb(page: tifffile.TiffPage) -> colour.Conversion:
    kinds = {1: colour.premultiplied_on_white, 2: colour.on_white}
    return kinds.get(int((*page.extrasamples, 0)[0]), colour.first_three)


def _of_ycbcr(page: tifffile.TiffPage) -> colour.Conversion | None:
    if page.compression in JPEG and page.planarconfig == tifffile.PLANARCONFIG.CONTIG:
        return colour.first_three  # by the decoder
    levels = np.ravel(page.tags.valueof(_LEVELS, _FULL_RANGE))
    if len(levels) > len(_FULL_RANGE):  # as fractions
        levels = levels[::2] / levels[1::2]
    usual = np.array_equal(levels, _FULL_RANGE) and page.compression != _JPEG_2000
    return colour.from_ycbcr if usual else None


def _of_inks(page: tifffile.TiffPage) -> colour.Conversion | None:
    """Return the conversion of CMYK, unless a printer's profile defines what the inks look like."""
    inks = page.samplesperpixel == _INKS and page.tags.valueof(_INK_SET, 1) == 1
    plain = page.compression not in JPEG and "InterColorProfile" not in page.tags
    return colour.from_cmyk if inks and plain else None


def _of_lab(page: tifffile.TiffPage) -> colour.Conversion | None:
    if page.compression in JPEG or page.extrasamples or _WHITE_POINT in page.tags:
        return None
    return colour.from_cielab if _space(page) == "CIELAB" else colour.from_icclab


def _of_palette(page: tifffile.TiffPage) -> colour.Conversion:
    colours = np.asarray(page.colormap).T
    wide = colours.max() > np.iinfo(np.uint8).max  # some programs write bytes
    rows: UInt8[np.ndarray, "colours 3"] = (colours >> 8 if wide else colours).astype(np.uint8)
    return colour.from_palette(rows)


_CONVERSIONS: dict[str, Callable[[tifffile.TiffPage], colour.Conversion | None]] = {
    "RGB": _of_rgb,
    "MINISBLACK": lambda _: colour.first_three,
    "YCBCR": _of_ycbcr,
    "SEPARATED": _of_inks,
    "CIELAB": _of_lab,
    "ICCLAB": _of_lab,
    "PALETTE": _of_palette,
}
