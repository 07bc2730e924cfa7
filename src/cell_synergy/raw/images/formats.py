"""Detection of image formats by content, since file names may be wrong, and shared messages."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError

ImageFormat = Literal["tiff", "png", "jpeg"]

_FORMATS: dict[str, ImageFormat] = {"TIFF": "tiff", "PNG": "png", "JPEG": "jpeg"}
_EXPECTED = "an image (TIFF, PNG or JPEG)"
_REMEDIES = {
    **dict.fromkeys(("GIF", "BMP", "WebP", "JPEG 2000"), "save it as TIFF, PNG or JPEG"),
    "CZI": "save it as pyramidal TIFF (for example with QuPath)",
    "PDF": "save its image as TIFF, PNG or JPEG",
    filetypes.HDF5: "name the image",
}


def require_image(path: Path) -> Path:
    """Return the path of an image; `DataError` if there is no such file, or a broken link."""
    if path.is_symlink() and not path.exists():
        raise DataError(
            f"{path}: is a link to {path.readlink()}, which does not exist; correct the link or "
            "replace it by the image"
        )
    if not path.is_file():
        raise DataError(f"{path}: no such image; run `dvc repro download` or `dvc pull` first")
    return path


def detect_format(path: Path) -> ImageFormat:
    """Return the format of an image by its first bytes.

    Raises
    ------
    DataError
        If the file does not exist or is in a format that cannot be read.
    """
    detected = filetypes.require_readable(require_image(path), _EXPECTED, "get it again")
    if detected in _FORMATS:
        return _FORMATS[detected]
    remedy = "unpack it" if detected in filetypes.PACKED else "get it again, or convert it"
    raise filetypes.wrong_format(path, _EXPECTED, _REMEDIES.get(detected, remedy))


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Convert the errors of a decoder inside the block to a `DataError` that names the file."""
    try:
        yield
    except DataError:
        raise
    except (
        ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError,
        SyntaxError, TypeError, ValueError, struct.error,
    ) as error:  # fmt: skip
        raise DataError(
            f"{path}: cannot be read as an image ({error}); get it again, or save it again as "
            "tiled TIFF if other programs read it"
        ) from error


def too_large_message(path: Path, width: int, height: int) -> str:
    """Return the error message for an image that is too large to be decoded at once.

    Parameters
    ----------
    path
        The image.
    width, height
        Its size in pixels.
    """
    return (
        f"{path}: {width} x {height} pixels would have to be read at once; convert the image to "
        "a tiled TIFF (e.g. `vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg`)"
    )


def not_rgb_message(path: Path, colours: str) -> str:
    """Return the error message for an image that cannot be converted to 8-bit RGB.

    Parameters
    ----------
    path
        The image.
    colours
        Description of its pixels, for example `grayscale`.
    """
    return (
        f"{path}: its pixels are {colours}, not 8-bit RGB; save the image as 8-bit RGB "
        "(for example with QuPath or Fiji)"
    )
