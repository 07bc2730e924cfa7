"""Decoding of PNG and JPEG, which have no tiles and are read whole."""

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
from cell_synergy.raw.images.formats import (
    ImageFormat,
    decoding,
    not_rgb_message,
    too_large_message,
)

MAX_BYTES = 3 * 2**30  # memory limit of decoding an image
_MAX_CHECKED_PIXELS = 100_000_000  # of a JPEG; checking takes 16 bytes of memory per pixel
_EXIF_ORIENTATION = 274  # tag
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # neither a stuffed byte nor a restart marker
_FRAME_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_HUFFMAN_FRAMES = {0xC0, 0xC1, 0xC2}
_END, _ICC_PROFILE, _ADOBE = 0xD9, 0xE2, 0xEE  # markers
_PNG_COLOURS = {0: "grayscale", 2: "RGB", 3: "palette", 4: "grayscale with alpha", 6: "RGBA"}
_JPEG_COLOURS = {1: "grayscale", 3: "RGB", 4: "CMYK"}


class Header(NamedTuple):
    """Width and height in pixels, and the EXIF orientation, which is 1 by default."""

    width: int
    height: int
    orientation: int


def read_header(path: Path, image_format: ImageFormat) -> Header:
    """Read size and orientation of an image without decoding its pixels.

    Parameters
    ----------
    path, image_format
        PNG or JPEG file, and its format, `png` or `jpeg`.

    Raises
    ------
    DataError
        If the header is damaged.
    """
    # `Image.open` would refuse slides as decompression bombs; the classes of the formats do not.
    reader = PngImageFile if image_format == "png" else JpegImageFile
    with decoding(path), reader(path) as image:
        return Header(*image.size, _orientation(image.info.get("exif")))


def read(
    path: Path, image_format: ImageFormat, trusted: bool
) -> UInt8[np.ndarray, "height width 3"]:
    """Decode a PNG or JPEG to 8-bit RGB; transparent pixels are composited over white.

    Parameters
    ----------
    path, image_format
        PNG or JPEG file, and its format, `png` or `jpeg`.
    trusted
        Whether the compressed data of a JPEG have been checked before and need no check now.

    Raises
    ------
    DataError
        If the image is damaged, cannot be converted to 8-bit RGB, or is too large.
    """
    size = read_header(path, image_format)[:2]
    with decoding(path):
        data = path.read_bytes()
        if image_format == "png":
            convert, decode = _png_conversion(path, data), imagecodecs.png_decode
        else:
            convert, decode = _jpeg_conversion(path, data, size, trusted), imagecodecs.jpeg8_decode
        samples = colour.RGB_SAMPLES
        if convert is not colour.take_rgb:
            samples += 4  # the decoded pixels and the converted ones are in memory together
        if size[0] * size[1] * samples > MAX_BYTES:
            raise DataError(too_large_message(path, *size))
        pixels = decode(data)
        if pixels.shape[2] == colour.RGB_SAMPLES:
            return np.asarray(pixels)
        return colour.convert_in_bands(pixels, convert)


def _orientation(exif: bytes | None) -> int:
    if exif is None:
        return 1
    tags = Image.Exif()
    try:
        tags.load(exif)
        return int(tags.get(_EXIF_ORIENTATION, 1))
    except (SyntaxError, ValueError, TypeError, LookupError, OSError):
        return 1  # viewers ignore tags that cannot be parsed


def _png_conversion(path: Path, data: bytes) -> colour.Conversion:
    depth, colour_type = data[24], data[25]  # fields of the header chunk
    if depth > 8:  # noqa: PLR2004 - bits
        raise DataError(not_rgb_message(path, f"{_PNG_COLOURS.get(colour_type)} of {depth} bits"))
    if colour_type in {0, 4}:
        raise DataError(not_rgb_message(path, _PNG_COLOURS[colour_type]))
    has_alpha = b"tRNS" in data[: data.find(b"IDAT")] or colour_type == 6  # noqa: PLR2004 - RGBA
    return colour.composite_on_white if has_alpha else colour.take_rgb


def _jpeg_conversion(
    path: Path, data: bytes, size: tuple[int, int], trusted: bool
) -> colour.Conversion:
    """Check that a JPEG is complete, and return the conversion of its colours."""
    segments = list(_jpeg_segments(data))
    if not segments or segments[-1][0] != _END:
        raise DataError(f"{path}: cannot be read as an image (it ends too early); get it again")
    frame, header = next((marker, body) for marker, body in segments if marker in _FRAME_MARKERS)
    depth, components = header[0], header[5]
    if depth != 8 or components not in {3, 4}:  # noqa: PLR2004 - bits
        colours = f"{_JPEG_COLOURS.get(components)} of {depth} bits"
        raise DataError(not_rgb_message(path, colours))
    if components == 4:  # noqa: PLR2004 - CMYK
        by_adobe = any(m == _ADOBE and body.startswith(b"Adobe") for m, body in segments)
        has_profile = any(m == _ICC_PROFILE and b"ICC_P" in body[:12] for m, body in segments)
        if not by_adobe or has_profile:
            raise DataError(not_rgb_message(path, "CMYK of a printer's profile"))
        return colour.from_inverted_cmyk
    # JPEG decoders fill missing data silently. The lossless transcoder of JPEG XL refuses damaged
    # files; it supports these frames and subsamplings only.
    samplings = set(header[7::3])
    supported = frame in _HUFFMAN_FRAMES and samplings <= {0x11, 0x12, 0x21, 0x22}
    if supported and not trusted and size[0] * size[1] <= _MAX_CHECKED_PIXELS:
        try:
            imagecodecs.jpegxl_encode_jpeg(data)
        except imagecodecs.JpegxlError as error:
            raise DataError(
                f"{path}: cannot be read as an image (its JPEG data are damaged); get it again, or "
                "save it again if it looks right"
            ) from error
    return colour.take_rgb


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each marker of a JPEG with the body of its segment, up to the end marker."""
    offset = 2
    while match := _MARKER.search(data, offset):
        marker, offset = data[match.start() + 1], match.end()
        if marker == _END:
            yield marker, b""
            return
        length = int.from_bytes(data[offset : offset + 2], "big")
        yield marker, data[offset + 2 : offset + length]
        offset += length
