"""An image opened for reading crops, whatever its format."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tifffile
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.raw.images import flat
from cell_synergy.raw.images.formats import kind_of, readable
from cell_synergy.raw.images.slide import Slide
from cell_synergy.raw.images.tiff import open_level, slide_in

SMALLEST = 16  # pixels per side: less is no tissue


@contextmanager
def open_slide(path: Path, trusted: bool = False) -> Iterator[Slide]:
    """Open an 8-bit image of colours as RGB; what is transparent lies on bare glass.

    Up to 100 megapixels are read whole. Of a larger TIFF (pyramidal, OME, SVS) only those tiles or
    strips are read that crops need, at full resolution, and a bounded number of them is kept.

    Parameters
    ----------
    path
        TIFF, PNG or JPEG, whatever its name ends with.
    trusted
        Whether it was read before, so that the data of a JPEG are not checked again.

    Raises
    ------
    DataError
        If there is no such image, it cannot be read or is damaged (which may show with the first
        crop), has no colours of 8 bits that are RGB or can be made so, or is too large for a
        format that has to be read whole.
    """
    if (kind := kind_of(path)) != "tiff":
        slide = Slide(flat.read(path, kind, trusted))
        _check_size(path, *slide.size)
        yield slide
        return
    with readable(path):
        tiff = tifffile.TiffFile(path)
    with tiff:
        with readable(path):
            level = slide_in(path, tiff)
            _check_size(path, level.width, level.height)
            slide = Slide(open_level(path, level))
        yield slide


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image in pixels, from its header alone."""
    if (kind := kind_of(path)) == "tiff":
        with readable(path), tifffile.TiffFile(path) as tiff:
            level = slide_in(path, tiff)
        width, height, orientation = level.width, level.height, level.orientation
    else:
        width, height, orientation = flat.header(path, kind)
    _check_size(path, width, height)
    if orientation != 1:
        tqdm.write(
            f"{path}: its orientation tag is {orientation}, by which viewers turn it; here places "
            "count in the pixels as they are stored"
        )
    return width, height


def _check_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < SMALLEST:
        raise DataError(
            f"{path}: has {width} x {height} pixels, too few to show tissue; give the H&E image at "
            "its full resolution"
        )
