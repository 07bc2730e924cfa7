"""TIFF files (pyramids, OME, SVS): selection of the slide among their images, reading of tiles."""

import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
import tifffile
from jaxtyping import UInt8

from cell_synergy.core.errors import DataError
from cell_synergy.raw.images import colour
from cell_synergy.raw.images.formats import decoding, not_rgb_message, too_large_message
from cell_synergy.raw.images.photometric import (
    CHANNEL_AXIS,
    rgb_conversion,
    unsupported_colours,
)

MAX_WHOLE_PIXELS = 100_000_000  # larger images are decoded tile by tile
CACHE_BYTES = 2**28  # decoded tiles that a slide keeps in memory
_ORIENTATION = 274  # tag
_JPEG = 7  # compression; its tiles are complete JPEGs except for their tables


class Level(NamedTuple):
    """The full-resolution level of one image series of a TIFF.

    Attributes
    ----------
    series
        Index of the series in the file.
    pages
        Pages of the level.
    width, height
        Size in pixels.
    orientation
        Value of the tag `Orientation`; 1 if absent.
    """

    series: int
    pages: tifffile.TiffPageSeries
    width: int
    height: int
    orientation: int


def find_slide(path: Path, tiff: tifffile.TiffFile) -> Level:
    """Return the largest image of a file; thumbnails, labels and macro images are smaller.

    Parameters
    ----------
    path
        The file, for messages.
    tiff
        The opened file.

    Raises
    ------
    DataError
        If the file has no image, none of the largest can be converted to 8-bit RGB, or more than
        one can.
    """
    levels = [
        (number, series.levels[0])
        for number, series in enumerate(tiff.series)
        if series.levels[0].keyframe is not None
    ]
    if not levels:
        raise DataError(f"{path}: cannot be read as an image (no image in it); get it again")
    max_area = max(_area(level) for _, level in levels)
    largest = [(number, level) for number, level in levels if _area(level) == max_area]
    coloured = [(number, level) for number, level in largest if not unsupported_colours(level)]
    page = largest[0][1].keyframe
    if len(coloured) == 1:
        number, level = coloured[0]
        page = level.keyframe
        orientation = int(page.tags.valueof(_ORIENTATION, 1))
        return Level(number, level, int(page.imagewidth), int(page.imagelength), orientation)
    stacks = [level.shape for _, level in largest if len(level.shape) > len("YXS")]
    if not coloured and not stacks:
        raise DataError(not_rgb_message(path, unsupported_colours(largest[0][1])))
    count = f"a stack of shape {stacks[0]}" if stacks else f"{len(coloured)} images"
    raise DataError(
        f"{path}: {count}, each of {page.imagewidth} x {page.imagelength} pixels, and none is "
        "marked as the slide; save the H&E image alone, as 8-bit RGB"
    )


class MemoryMapped:
    """Pixels of an uncompressed TIFF, mapped into memory and converted to RGB when read.

    Parameters
    ----------
    pixels
        The mapped samples, with axes in the order of `level.pages.axes`.
    level
        Level of the TIFF.
    convert
        Conversion of the samples to RGB.
    """

    def __init__(self, pixels: np.ndarray, level: Level, convert: colour.Conversion) -> None:
        self.shape = level.height, level.width, colour.RGB_SAMPLES
        axis = CHANNEL_AXIS.get(level.pages.axes)
        self._pixels = pixels[:, :, None] if axis is None else np.moveaxis(pixels, axis, 2)
        self._convert = convert

    def __getitem__(self, region: tuple[slice, slice]) -> UInt8[np.ndarray, "rows columns 3"]:
        return self._convert(np.asarray(self._pixels[region]))

    def read(self) -> UInt8[np.ndarray, "height width 3"]:
        """Return the whole image as a copy in memory."""
        return np.array(
            colour.convert_in_bands(self._pixels, self._convert), order="C", subok=False
        )


class Tiles:
    """Tiles (or strips) of one level of a TIFF, decoded on demand and cached.

    Parameters
    ----------
    path
        The file, for messages.
    level
        Level of the TIFF, whose file is open.
    convert
        Conversion of the decoded samples to RGB.

    Raises
    ------
    DataError
        If one tile or strip is too large to be decoded at once, or planes of colours are missing.
    """

    def __init__(self, path: Path, level: Level, convert: colour.Conversion) -> None:
        self._path, self._page, self._convert = path, level.pages.keyframe, convert
        self.shape = level.height, level.width, colour.RGB_SAMPLES
        if self._page.is_tiled:
            self._rows, self._columns = int(self._page.tilelength), int(self._page.tilewidth)
        else:
            self._rows = min(int(self._page.rowsperstrip), level.height)
            self._columns = int(level.width)
        if self._rows * self._columns > MAX_WHOLE_PIXELS:
            raise DataError(too_large_message(path, level.width, level.height))
        self._tiles_per_row = -(-level.width // self._columns)
        count = -(-level.height // self._rows) * self._tiles_per_row
        # page and index of the first tile, for each channel or for all channels together
        if level.pages.axes == "CYX":
            self._planes = [(page, 0) for page in level.pages.pages if page is not None]
            if len(self._planes) != colour.RGB_SAMPLES:
                raise DataError(not_rgb_message(path, f"in {len(self._planes)} of three planes"))
        elif level.pages.axes == "SYX":
            planes = range(int(self._page.samplesperpixel))
            self._planes = [(self._page, count * i) for i in planes]
        else:
            self._planes = [(self._page, 0)]
        self._lock, self._cache = Lock(), OrderedDict[int, UInt8[np.ndarray, "rows columns 3"]]()

    def __getitem__(self, region: tuple[slice, slice]) -> UInt8[np.ndarray, "rows columns 3"]:
        (top, bottom), (left, right) = (
            s.indices(n)[:2] for s, n in zip(region, self.shape, strict=False)
        )
        pixels = np.empty((bottom - top, right - left, colour.RGB_SAMPLES), dtype=np.uint8)
        for i in range(top // self._rows, -(-bottom // self._rows)):
            for j in range(left // self._columns, -(-right // self._columns)):
                y, x = i * self._rows, j * self._columns
                tile = self._tile(i * self._tiles_per_row + j)
                part = tile[max(top - y, 0) : bottom - y, max(left - x, 0) : right - x]
                y, x = max(y - top, 0), max(x - left, 0)
                pixels[y : y + part.shape[0], x : x + part.shape[1]] = part
        return pixels

    def _tile(self, number: int) -> UInt8[np.ndarray, "rows columns 3"]:
        with self._lock:
            if number in self._cache:
                self._cache.move_to_end(number)
                return self._cache[number]
        with decoding(self._path):
            decoded = [self._decode(page, first + number) for page, first in self._planes]
            planes = [plane for plane in decoded if plane is not None]
            if len(planes) == len(decoded):
                samples = np.concatenate(planes, axis=2) if len(planes) > 1 else planes[0]
                tile = colour.convert_in_bands(samples, self._convert)
            elif not planes:  # scanners do not write tiles of bare glass
                shape = (self._rows, self._columns, colour.RGB_SAMPLES)
                tile = np.full(shape, self._page.nodata, dtype=np.uint8)
            else:
                raise OSError("a tile lacks some of its channels")
        with self._lock:
            self._cache[number] = tile
            while len(self._cache) * self._rows * self._columns * colour.RGB_SAMPLES > CACHE_BYTES:
                self._cache.popitem(last=False)
        return tile

    def _decode(
        self, page: tifffile.TiffPage | tifffile.TiffFrame, number: int
    ) -> UInt8[np.ndarray, "rows columns samples"] | None:
        """Decode one tile; return None for a tile that was never written.

        Several threads may call it at once: reading at an offset moves no shared file position, and
        decoding releases the interpreter's lock.
        """
        if not (size := page.databytecounts[number]):
            return None
        data = os.pread(page.parent.filehandle.fileno(), size, page.dataoffsets[number])
        # JPEG decoders fill missing data with grey silently.
        is_jpeg = self._page.compression == _JPEG and self._page.jpegheader is None
        if len(data) != size or (is_jpeg and not data.rstrip(b"\0").endswith(b"\xff\xd9")):
            raise OSError("it ends too early")
        tile, _, _ = page.decode(
            data, number, jpegtables=page.jpegtables, jpegheader=self._page.jpegheader
        )
        samples: UInt8[np.ndarray, "rows columns samples"] = np.asarray(tile)[0]
        return samples


def open_level(
    path: Path, level: Level
) -> UInt8[np.ndarray, "height width 3"] | MemoryMapped | Tiles:
    """Return the pixels of a slide: in memory up to 100 megapixels, else a lazy reader of regions.

    Parameters
    ----------
    path
        The file.
    level
        Level of the slide, whose file must stay open while regions are read.

    Raises
    ------
    DataError
        If the colours cannot be converted to RGB, the file ends before its last tile, or one tile
        is too large to be decoded at once.
    """
    convert = rgb_conversion(path, level.pages.keyframe)
    for page in level.pages.pages:
        if page is not None:
            _require_complete(path, page)
    is_large = level.width * level.height > MAX_WHOLE_PIXELS
    if level.pages.dataoffset is not None:
        mapped = MemoryMapped(tifffile.memmap(path, series=level.series, mode="r"), level, convert)
        return mapped if is_large else mapped.read()
    tiles = Tiles(path, level, convert)
    return tiles if is_large else tiles[: level.height, : level.width]


def _require_complete(path: Path, page: tifffile.TiffPage | tifffile.TiffFrame) -> None:
    """Refuse a file that ends before its last tile."""
    sizes = np.asarray(page.databytecounts, dtype=np.int64)
    ends = np.asarray(page.dataoffsets, dtype=np.int64) + sizes
    size = page.parent.filehandle.size
    if (ends[sizes > 0] > size).any():
        raise DataError(
            f"{path}: cannot be read as an image (it ends too early, after {size} of {ends.max()} "
            "bytes); get it again"
        )


def _area(level: tifffile.TiffPageSeries) -> int:
    return int(level.keyframe.imagewidth) * int(level.keyframe.imagelength)
