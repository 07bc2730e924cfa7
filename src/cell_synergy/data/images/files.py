"""What an image file is, by its content: its name may be wrong."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from cell_synergy.core.errors import DataError

Kind = Literal["tiff", "png", "jpeg"]

_IMAGES: dict[bytes, Kind] = {
    b"II*\0": "tiff", b"MM\0*": "tiff", b"II+\0": "tiff", b"MM\0+": "tiff",
    b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg",
}  # fmt: skip
_OTHERS = {
    b"\x1f\x8b": ("compressed with gzip", "unpack it (`gunzip FILE`)"),
    b"PK\x03\x04": ("a zip archive", "unpack it"),
    b"version https://git-lfs": ("a pointer of Git LFS, not the file", "run `git lfs pull`"),
    b"<!doctype html": ("a web page, not an image", "get the file itself"),
    b"<html": ("a web page, not an image", "get the file itself"),
    b"<?xml": ("XML, such as a server's error message, not an image", "get the file again"),
    b"GIF8": ("a GIF", "save it as TIFF, PNG or JPEG"),
    b"BM": ("a BMP", "save it as TIFF, PNG or JPEG"),
    b"RIFF": ("a WebP", "save it as TIFF, PNG or JPEG"),
    b"\0\0\0\x0cjP  ": ("a JPEG 2000", "save it as TIFF, PNG or JPEG"),
    b"\xff\x4f\xff\x51": ("a JPEG 2000", "save it as TIFF, PNG or JPEG"),
    b"ZISRAWFILE": ("a CZI of ZEISS", "save it as pyramidal TIFF (for example with QuPath)"),
    b"%PDF": ("a PDF", "save its image as TIFF, PNG or JPEG"),
    b"\x89HDF": ("an HDF5 file, not an image", "name the image"),
}
_HEAD = 64  # bytes that tell


def present(path: Path) -> Path:
    """Return the path of an image that is there."""
    if path.is_symlink() and not path.exists():
        raise DataError(
            f"{path}: leads to {path.readlink()}, which is not there; mend the link or put the "
            "image in its place"
        )
    if not path.is_file():
        raise DataError(f"{path}: no such image; run `dvc repro download` or `dvc pull` first")
    return path


def kind_of(path: Path) -> Kind:
    """Return the format of an image by its first bytes; refuse what is none that can be read."""
    with readable(path), present(path).open("rb") as file:
        head = file.read(_HEAD)
    for begin, kind in _IMAGES.items():
        if head.startswith(begin):
            return kind
    if not head:
        raise DataError(f"{path}: cannot be read as an image (it is empty); get it again")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for begin, (what, remedy) in _OTHERS.items():
        if head.startswith(begin) or text.startswith(begin.lower()):
            raise DataError(f"{path}: cannot be read as an image (it is {what}); {remedy}")
    raise DataError(
        f"{path}: cannot be read as an image (it begins with {head[:8]!r}, which is neither TIFF, "
        "PNG nor JPEG); get it again, or convert it"
    )


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Name the file that cannot be read."""
    try:
        yield
    except DataError:
        raise
    # whatever decoders raise for a file that is not what it should be
    except (
        ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError,
        SyntaxError, TypeError, ValueError, struct.error,
    ) as error:  # fmt: skip
        raise DataError(
            f"{path}: cannot be read as an image ({error}); get it again, or save it anew as tiled "
            "TIFF if other programs read it"
        ) from error


def too_large(path: Path, width: int, height: int) -> str:
    """Return the message on an image of which no part can be read alone."""
    return (
        f"{path}: {width} x {height} pixels would have to be read at once; convert the image to "
        "a tiled TIFF (e.g. `vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg`)"
    )


def no_rgb(path: Path, colours: str) -> str:
    """Return the message on an image of other colours."""
    return (
        f"{path}: its pixels are {colours}, not 8-bit RGB; save the image as 8-bit RGB "
        "(for example with QuPath or Fiji)"
    )
