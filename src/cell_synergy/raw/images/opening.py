"""Opening of an image of any supported format as a `Slide`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tifffile
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.raw.images import flat
from cell_synergy.raw.images.formats import decoding, detect_format
from cell_synergy.raw.images.slide import Slide
from cell_synergy.raw.images.tiff import find_slide, open_level

_MIN_SIDE = 16  # pixels; minimum width and height of an image of tissue


@contextmanager
def open_slide(path: Path, trusted: bool = False) -> Iterator[Slide]:
    """Open a colour image with 8 bits per sample as RGB; transparent pixels become white.

    Images of up to 100 megapixels are decoded whole. Of a larger TIFF (pyramidal, OME, SVS) only
    the tiles or strips that a crop needs are decoded, at full resolution, and a bounded number of
    them is cached.

    Parameters
    ----------
    path
        Image in TIFF, PNG or JPEG; its format is detected by content.
    trusted
        Whether the compressed data of a JPEG have been checked before and need no check now.

    Raises
    ------
    DataError
        If the file does not exist, is damaged (of a TIFF, possibly not before a crop is read),
        cannot be converted to 8-bit RGB, has fewer than 16 pixels on a side, or is too large for a
        format that is decoded whole.
    """
    if (image_format := detect_format(path)) != "tiff":
        slide = Slide(flat.read(path, image_format, trusted))
        _require_min_size(path, *slide.size)
        yield slide
        return
    with decoding(path):
        tiff = tifffile.TiffFile(path)
    with tiff:
        with decoding(path):
            level = find_slide(path, tiff)
            _require_min_size(path, level.width, level.height)
            slide = Slide(open_level(path, level))
        yield slide


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image in pixels, as they are stored, read from its header.

    An orientation tag, which viewers apply, is logged.

    Raises
    ------
    DataError
        If the file does not exist, is damaged or of another format, has no image that can be
        converted to 8-bit RGB or several of the largest size, or fewer than 16 pixels on a side.
    """
    if (image_format := detect_format(path)) == "tiff":
        with decoding(path), tifffile.TiffFile(path) as tiff:
            level = find_slide(path, tiff)
        width, height, orientation = level.width, level.height, level.orientation
    else:
        width, height, orientation = flat.read_header(path, image_format)
    _require_min_size(path, width, height)
    if orientation != 1:
        tqdm.write(
            f"{path}: its orientation tag is {orientation}, which image viewers apply; coordinates "
            "here refer to the pixels as they are stored"
        )
    return width, height


def _require_min_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < _MIN_SIDE:
        raise DataError(
            f"{path}: has {width} x {height} pixels, too few to show tissue; give the H&E image at "
            "its full resolution"
        )
