"""TIFF: pyramids, OME, SVS; which image of a file is the slide, and its tiles."""

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
from cell_synergy.raw.images.formats import no_rgb, readable, too_large
from cell_synergy.raw.images.photometric import ORDERS, conversion, wrong_colours

WHOLE = 100_000_000  # pixels up to which an image is read whole
CACHE = 2**28  # bytes of decoded tiles that a slide keeps
_ORIENTATION = 274  # TIFF's tag
_WHOLE_JPEG = 7  # TIFF's compression whose pieces are JPEGs of their own, but for their tables


class Level(NamedTuple):
    """The slide in a file: the full resolution of one of its series."""

    series: int
    pages: tifffile.TiffPageSeries
    width: int
    height: int
    orientation: int


def slide_in(path: Path, tiff: tifffile.TiffFile) -> Level:
    """Return the largest image of a file; thumbnails, labels and macros are smaller.

    Raises
    ------
    DataError
        If it is not 8-bit RGB, or several are of its size.
    """
    levels = [
        (number, series.levels[0])
        for number, series in enumerate(tiff.series)
        if series.levels[0].keyframe is not None
    ]
    if not levels:
        raise DataError(f"{path}: cannot be read as an image (no image in it); get it again")
    most = max(_area(level) for _, level in levels)
    largest = [(number, level) for number, level in levels if _area(level) == most]
    coloured = [(number, level) for number, level in largest if not wrong_colours(level)]
    page = largest[0][1].keyframe
    if len(coloured) == 1:
        number, level = coloured[0]
        page = level.keyframe
        tag = int(page.tags.valueof(_ORIENTATION, 1))
        return Level(number, level, int(page.imagewidth), int(page.imagelength), tag)
    stacks = [level.shape for _, level in largest if len(level.shape) > len("YXS")]
    if not coloured and not stacks:
        raise DataError(no_rgb(path, wrong_colours(largest[0][1])))
    count = f"a stack of shape {stacks[0]}" if stacks else f"{len(coloured)} images"
    raise DataError(
        f"{path}: {count}, each of {page.imagewidth} x {page.imagelength} pixels, and none says "
        "that it is the slide; save the H&E image alone, as 8-bit RGB"
    )


class Mapped:
    """The pixels of a TIFF that lie in the file as they are."""

    def __init__(self, pixels: np.ndarray, level: Level, convert: colour.Conversion) -> None:
        self.shape = level.height, level.width, colour.SAMPLES
        axis = ORDERS.get(level.pages.axes)
        self._pixels = pixels[:, :, None] if axis is None else np.moveaxis(pixels, axis, 2)
        self._convert = convert

    def __getitem__(self, place: tuple[slice, slice]) -> UInt8[np.ndarray, "rows columns 3"]:
        return self._convert(np.asarray(self._pixels[place]))

    def read(self) -> UInt8[np.ndarray, "height width 3"]:
        """Return all of it."""
        return np.array(colour.in_bands(self._pixels, self._convert), order="C", subok=False)


class Tiles:
    """The tiles (or strips) of one resolution of a TIFF, decoded when they are needed."""

    def __init__(self, path: Path, level: Level, convert: colour.Conversion) -> None:
        self._path, self._page, self._convert = path, level.pages.keyframe, convert
        self.shape = level.height, level.width, colour.SAMPLES
        tiled = self._page.is_tiled
        self._rows = int(self._page.tilelength if tiled else self._page.rowsperstrip)
        self._rows = self._rows if tiled else min(self._rows, level.height)
        self._columns = int(self._page.tilewidth if tiled else level.width)
        if self._rows * self._columns > WHOLE:
            raise DataError(too_large(path, level.width, level.height))
        self._across = -(-level.width // self._columns)
        count = -(-level.height // self._rows) * self._across
        # where each colour (or all together) has its pieces
        if level.pages.axes == "CYX":
            self._planes = [(page, 0) for page in level.pages.pages if page is not None]
            if len(self._planes) != colour.SAMPLES:
                raise DataError(no_rgb(path, f"in {len(self._planes)} of three planes"))
        elif level.pages.axes == "SYX":
            planes = range(int(self._page.samplesperpixel))
            self._planes = [(self._page, count * i) for i in planes]
        else:
            self._planes = [(self._page, 0)]
        self._lock, self._kept = Lock(), OrderedDict[int, UInt8[np.ndarray, "rows columns 3"]]()

    def __getitem__(self, place: tuple[slice, slice]) -> UInt8[np.ndarray, "rows columns 3"]:
        (top, bottom), (left, right) = (
            s.indices(n)[:2] for s, n in zip(place, self.shape, strict=False)
        )
        found = np.empty((bottom - top, right - left, colour.SAMPLES), dtype=np.uint8)
        for i in range(top // self._rows, -(-bottom // self._rows)):
            for j in range(left // self._columns, -(-right // self._columns)):
                y, x = i * self._rows, j * self._columns
                tile = self._tile(i * self._across + j)
                part = tile[max(top - y, 0) : bottom - y, max(left - x, 0) : right - x]
                y, x = max(y - top, 0), max(x - left, 0)
                found[y : y + part.shape[0], x : x + part.shape[1]] = part
        return found

    def _tile(self, number: int) -> UInt8[np.ndarray, "rows columns 3"]:
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
        with readable(self._path):
            found = [self._decoded(page, first + number) for page, first in self._planes]
            parts = [part for part in found if part is not None]
            if len(parts) == len(found):
                joined = np.concatenate(parts, axis=2) if len(parts) > 1 else parts[0]
                tile = colour.in_bands(joined, self._convert)
            elif not parts:  # never written, as scanners do with glass
                shape = (self._rows, self._columns, colour.SAMPLES)
                tile = np.full(shape, self._page.nodata, dtype=np.uint8)
            else:
                raise OSError("a piece lacks some of its colours")
        with self._lock:
            self._kept[number] = tile
            while len(self._kept) * self._rows * self._columns * colour.SAMPLES > CACHE:
                self._kept.popitem(last=False)
        return tile

    def _decoded(
        self, page: tifffile.TiffPage | tifffile.TiffFrame, number: int
    ) -> UInt8[np.ndarray, "rows columns colours"] | None:
        """Read one piece; reading at a place needs no lock, and decoding lets other threads run.

        None for a piece that was never written.
        """
        if not (size := page.databytecounts[number]):
            return None
        data = os.pread(page.parent.filehandle.fileno(), size, page.dataoffsets[number])
        # A decoder of JPEG fills what is missing with grey, without a word.
        jpeg = self._page.compression == _WHOLE_JPEG and self._page.jpegheader is None
        if len(data) != size or (jpeg and not data.rstrip(b"\0").endswith(b"\xff\xd9")):
            raise OSError("it ends too early")
        piece, _, _ = page.decode(
            data, number, jpegtables=page.jpegtables, jpegheader=self._page.jpegheader
        )
        colours: UInt8[np.ndarray, "rows columns colours"] = np.asarray(piece)[0]
        return colours


def open_level(path: Path, level: Level) -> UInt8[np.ndarray, "height width 3"] | Mapped | Tiles:
    """Return the pixels of a slide: whole, if it is small or lies in the file as it is."""
    convert = conversion(path, level.pages.keyframe)
    for page in level.pages.pages:
        if page is not None:
            _check_whole(path, page)
    large = level.width * level.height > WHOLE
    if level.pages.dataoffset is not None:
        mapped = Mapped(tifffile.memmap(path, series=level.series, mode="r"), level, convert)
        return mapped if large else mapped.read()
    tiles = Tiles(path, level, convert)
    return tiles if large else tiles[: level.height, : level.width]


def _check_whole(path: Path, page: tifffile.TiffPage | tifffile.TiffFrame) -> None:
    """Refuse a file that ends before its last piece."""
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
