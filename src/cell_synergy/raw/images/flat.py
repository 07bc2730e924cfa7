"""PNG and JPEG: formats without tiles, which are read whole."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from cell_synergy.core.errors import DataError
from cell_synergy.raw.images import colour
from cell_synergy.raw.images.formats import Kind, no_rgb, readable, too_large

LARGEST = 3 * 2**30  # bytes of memory that an image may take while it is read
WHOLE = 100_000_000  # pixels up to which all data of a JPEG are checked: 16 bytes each
_ORIENTATION = 274  # EXIF's tag
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in coded data, neither a byte nor a restart
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_HUFFMAN = {0xC0, 0xC1, 0xC2}
_SCAN, _END, _PROFILE, _ADOBE = 0xDA, 0xD9, 0xE2, 0xEE
_PNG_COLOURS = {0: "grayscale", 2: "RGB", 3: "palette", 4: "grayscale with alpha", 6: "RGBA"}
_JPEG_COLOURS = {1: "grayscale", 3: "RGB", 4: "CMYK"}


class Header(NamedTuple):
    """Width and height in pixels, and EXIF's orientation: 1 where it says nothing."""

    width: int
    height: int
    orientation: int


def header(path: Path, kind: Kind) -> Header:
    """Read what an image says of itself, without its pixels."""
    # The formats' own classes: `Image.open` refuses slides as decompression bombs.
    with readable(path), (PngImageFile if kind == "png" else JpegImageFile)(path) as image:
        return Header(*image.size, _orientation(image.info.get("exif")))


def read(path: Path, kind: Kind, trusted: bool) -> UInt8[np.ndarray, "height width 3"]:
    """Return the pixels; `trusted` JPEGs, which were read before, are not decoded twice."""
    size = header(path, kind)[:2]
    with readable(path):
        data = path.read_bytes()
        convert = _png(path, data) if kind == "png" else _jpeg(path, data, size, trusted)
        samples = colour.SAMPLES if convert is colour.first_three else 4 + colour.SAMPLES
        if size[0] * size[1] * samples > LARGEST:
            raise DataError(too_large(path, *size))
        decode = imagecodecs.png_decode if kind == "png" else imagecodecs.jpeg8_decode
        pixels = decode(data)
        if pixels.shape[2] == colour.SAMPLES:
            return np.asarray(pixels)
        return colour.in_bands(pixels, convert)


def _orientation(exif: bytes | None) -> int:
    if exif is None:
        return 1
    found = Image.Exif()
    try:
        found.load(exif)
        return int(found.get(_ORIENTATION, 1))
    except (SyntaxError, ValueError, TypeError, LookupError, OSError):
        return 1  # what cannot be read turns nothing


def _png(path: Path, data: bytes) -> colour.Conversion:
    depth, colours = data[24], data[25]  # of the first chunk, which is the header
    if depth > 8:  # noqa: PLR2004 - bits
        raise DataError(no_rgb(path, f"{_PNG_COLOURS.get(colours)} of {depth} bits"))
    if colours in {0, 4}:
        raise DataError(no_rgb(path, _PNG_COLOURS[colours]))
    clear = b"tRNS" in data[: data.find(b"IDAT")]
    return colour.on_white if clear or colours == 6 else colour.first_three  # noqa: PLR2004 - RGBA


def _jpeg(path: Path, data: bytes, size: tuple[int, int], trusted: bool) -> colour.Conversion:
    """Check that a JPEG is whole, and say what its colours are."""
    segments = list(_segments(data))
    if not segments or segments[-1][0] != _END:
        raise DataError(f"{path}: cannot be read as an image (it ends too early); get it again")
    frame, shape = next((kind, shape) for kind, shape in segments if kind in _FRAMES)
    count = shape[5]
    if (depth := shape[0]) != 8 or count not in {3, 4}:  # noqa: PLR2004 - bits
        raise DataError(no_rgb(path, f"{_JPEG_COLOURS.get(count)} of {depth} bits"))
    if count == 4:  # noqa: PLR2004 - CMYK
        adobe = any(kind == _ADOBE and body.startswith(b"Adobe") for kind, body in segments)
        if not adobe or any(kind == _PROFILE and b"ICC_P" in body[:12] for kind, body in segments):
            raise DataError(no_rgb(path, "CMYK of a printer's profile"))
        return colour.from_inverted_cmyk
    # Decoders fill what is missing in the middle without a word; JPEG XL takes no broken JPEG.
    common = frame in _HUFFMAN and set(shape[7::3]) <= {0x11, 0x12, 0x21, 0x22}
    if common and not trusted and size[0] * size[1] <= WHOLE:
        try:
            imagecodecs.jpegxl_encode_jpeg(data)
        except imagecodecs.JpegxlError as error:
            raise DataError(
                f"{path}: cannot be read as an image (its JPEG data are damaged); get it again, or "
                "save it anew if it looks right"
            ) from error
    return colour.first_three


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the markers of a JPEG with what belongs to them, up to its end."""
    place = 2
    while found := _MARKER.search(data, place):
        kind, place = data[found.start() + 1], found.end()
        if kind == _END:
            yield kind, b""
            return
        length = int.from_bytes(data[place : place + 2], "big")
        yield kind, data[place + 2 : place + length]
        place += length
