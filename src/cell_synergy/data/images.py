"""H&E images: x to the right, y down. Small ones are read whole, slides tile by tile."""

import os
import struct
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import imagecodecs
import numpy as np
import tifffile
from jaxtyping import Bool, Float, Int, UInt8
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from pydantic import PositiveFloat

from cell_synergy.core.config import Config
from cell_synergy.core.errors import DataError

TIFF = {".tif", ".tiff", ".svs", ".btf"}
WHOLE = 100_000_000  # pixels up to which an image is read whole
LARGEST = 1_000_000_000  # pixels up to which a format without tiles is
CACHE = 2**28  # bytes of decoded tiles that a slide keeps
BLOCK = 1024  # pixels; crops are read block by block, so that tiles are decoded about once
_RGB = 3


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


class Tiles:
    """The tiles (or strips) of one resolution of a TIFF, decoded when they are needed."""

    def __init__(self, path: Path, level: tifffile.TiffPageSeries) -> None:
        axis = _colour_axis(path, level.dtype, level.shape, level.axes)
        self._path, self._page = path, level.keyframe
        height, width = (n for i, n in enumerate(level.shape) if i != axis)
        self.shape = height, width, _RGB
        tiled = self._page.is_tiled
        self._rows = int(self._page.tilelength if tiled else self._page.rowsperstrip)
        self._columns = int(self._page.tilewidth if tiled else width)
        if self._rows * self._columns > WHOLE:
            raise DataError(_too_large(path, width, height))
        self._across = -(-width // self._columns)
        count = -(-height // self._rows) * self._across
        # where each colour (or all three together) has its pieces
        if level.axes == "CYX":
            self._planes = [(page, 0) for page in level.pages[:_RGB] if page is not None]
        else:
            self._planes = [(self._page, count * i) for i in range(_RGB if axis == 0 else 1)]
        self._lock, self._kept = Lock(), OrderedDict[int, UInt8[np.ndarray, "rows columns 3"]]()

    def __getitem__(self, place: tuple[slice, slice]) -> UInt8[np.ndarray, "rows columns 3"]:
        (top, bottom), (left, right) = (
            s.indices(n)[:2] for s, n in zip(place, self.shape, strict=False)
        )
        found = np.empty((bottom - top, right - left, _RGB), dtype=np.uint8)
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
        with _readable(self._path):
            parts = [self._decoded(page, first + number) for page, first in self._planes]
        tile = np.concatenate(parts, axis=2) if len(parts) > 1 else parts[0]
        with self._lock:
            self._kept[number] = tile
            while len(self._kept) * self._rows * self._columns * _RGB > CACHE:
                self._kept.popitem(last=False)
        return tile

    def _decoded(
        self, page: tifffile.TiffPage | tifffile.TiffFrame, number: int
    ) -> UInt8[np.ndarray, "rows columns colours"]:
        """Read one piece; reading at a place needs no lock, and decoding lets other threads run."""
        shape = (self._rows, self._columns, _RGB // len(self._planes))
        if not (size := page.databytecounts[number]):  # never written
            return np.full(shape, self._page.nodata, dtype=np.uint8)
        data = os.pread(page.parent.filehandle.fileno(), size, page.dataoffsets[number])
        if len(data) != size:
            raise OSError("it ends too early")
        piece, _, _ = page.decode(data, number, jpegtables=page.jpegtables)
        colours: UInt8[np.ndarray, "rows columns colours"] = np.asarray(piece)[0, :, :, : shape[2]]
        return colours


class Slide:
    """An 8-bit RGB image, of which crops can be read in any number of threads."""

    def __init__(self, pixels: UInt8[np.ndarray, "height width 3"] | Tiles) -> None:
        self._pixels = pixels
        self.size: tuple[int, int] = pixels.shape[1], pixels.shape[0]

    def crop(self, centre: Float[np.ndarray, " 2"], side: int) -> UInt8[np.ndarray, "side side 3"]:
        """Cut the square of `side` pixels around `centre` (x, y in pixels).

        What lies beyond the border is filled by reflection.
        """
        left, top = (int(i) for i in np.floor(centre - side / 2 + 0.5))
        width, height = self.size
        if 0 <= left <= width - side and 0 <= top <= height - side:
            return self._pixels[top : top + side, left : left + side]
        rows = _reflect(np.arange(top, top + side), height)
        columns = _reflect(np.arange(left, left + side), width)
        (upper, lower), (first, last) = ((i.min(), i.max() + 1) for i in (rows, columns))
        # whole rows, then columns: 5 times the speed of np.ix_
        strip = self._pixels[upper:lower, first:last][rows - upper]
        padded: UInt8[np.ndarray, "side side 3"] = strip.take(columns - first, axis=1)
        return padded

    def order(self, centres: Float[np.ndarray, "units 2"]) -> Int[np.ndarray, " units"]:
        """Return the order in which crops around `centres` are read fastest."""
        if isinstance(self._pixels, np.ndarray):
            return np.arange(len(centres))
        x, y = (centres // BLOCK).T
        return np.lexsort((x, y))

    def overview(self, step: int) -> UInt8[np.ndarray, "rows columns 3"]:
        """Return every `step`-th pixel of every `step`-th row."""
        band = step * max(BLOCK // step, 1)
        rows = range(0, self.size[1], band)
        return np.concatenate(
            [self._pixels[top : top + band, : self.size[0]][::step, ::step] for top in rows]
        )


@contextmanager
def open_slide(path: Path) -> Iterator[Slide]:
    """Open an 8-bit RGB image; an alpha channel is dropped.

    Up to 100 megapixels are read whole. Of a larger TIFF (pyramidal, OME, SVS) only those tiles or
    strips are read that crops need, at full resolution, and a bounded number of them is kept.

    Raises
    ------
    DataError
        If there is no such image, it cannot be read (which may show with the first crop), is not
        8-bit RGB, or is too large for a format that has to be read whole.
    """
    width, height = image_size(path)
    if path.suffix.lower() not in TIFF:
        if width * height > LARGEST:
            raise DataError(_too_large(path, width, height))
        with _readable(path):
            pixels = imagecodecs.imread(path.read_bytes(), codec=["png", "jpeg8"])
        yield Slide(_rgb(path, pixels, "YXS"))
        return
    with _readable(path):
        tiff = tifffile.TiffFile(path)
    with tiff:
        with _readable(path):
            level = tiff.series[0].levels[0]
            if width * height <= WHOLE:
                slide = Slide(_rgb(path, level.asarray(), level.axes))
            elif level.dataoffset is not None:  # neither compressed nor in pieces
                slide = Slide(_rgb(path, tifffile.memmap(path, series=0, mode="r"), level.axes))
            else:
                slide = Slide(Tiles(path, level))
        yield slide


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image in pixels, from its header alone."""
    with _readable(present(path)):
        if path.suffix.lower() in TIFF:
            with tifffile.TiffFile(path) as tiff:
                page = tiff.pages.first
                return int(page.imagewidth), int(page.imagelength)
        # The formats' own classes: `Image.open` refuses slides as decompression bombs.
        png = path.suffix.lower() == ".png"
        with (PngImageFile if png else JpegImageFile)(path) as image:
            return image.size


def present(path: Path) -> Path:
    """Return the path of an image that is there."""
    if not path.is_file():
        raise DataError(f"{path}: no such image; run `dvc repro download` or `dvc pull` first")
    return path


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Name the file that cannot be read."""
    try:
        yield
    except DataError:
        raise
    except (ValueError, RuntimeError, OSError, SyntaxError, struct.error) as error:
        raise DataError(f"{path}: cannot be read as an image ({error}); get it again") from error


def _too_large(path: Path, width: int, height: int) -> str:
    return (
        f"{path}: {width} x {height} pixels would have to be read at once; convert the image to "
        "a tiled TIFF (e.g. `vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg`)"
    )


def _colour_axis(path: Path, kind: np.dtype, shape: tuple[int, ...], axes: str) -> int:
    axis = {"YXS": 2, "SYX": 0, "CYX": 0}.get(axes, -1)
    if kind != np.uint8 or len(shape) != _RGB or axis < 0 or shape[axis] < _RGB:
        raise DataError(f"{path}: {kind} of shape {shape} is not an 8-bit RGB image; convert it")
    return axis


def _rgb(path: Path, pixels: np.ndarray, axes: str) -> UInt8[np.ndarray, "height width 3"]:
    """Return the colours of an array; nothing is copied if they lie as they should."""
    axis = _colour_axis(path, pixels.dtype, pixels.shape, axes)
    colours = np.moveaxis(pixels, axis, 2)[:, :, :_RGB]
    return colours if isinstance(pixels, np.memmap) else np.ascontiguousarray(colours)


def _reflect(index: np.ndarray, size: int) -> np.ndarray:
    period = max(2 * size - 2, 1)
    index = np.abs(index) % period
    return np.where(index < size, index, period - index)


def on_tissue(
    slide: Slide,
    centres_um: Float[np.ndarray, "units 2"],
    mpp: float,
    rule: TissueRule,
) -> tuple[Bool[np.ndarray, " units"], Bool[np.ndarray, " units"]]:
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
