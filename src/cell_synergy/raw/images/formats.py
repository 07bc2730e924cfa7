"""What an image file is, by its content: its name may be wrong."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError

Kind = Literal["tiff", "png", "jpeg"]

_IMAGES: dict[str, Kind] = {"TIFF": "tiff", "PNG": "png", "JPEG": "jpeg"}
_WANTED = "an image (TIFF, PNG or JPEG)"
_SAVED = dict.fromkeys(("GIF", "BMP", "WebP", "JPEG 2000"), "save it as TIFF, PNG or JPEG")
_REMEDIES = _SAVED | {
    "CZI": "save it as pyramidal TIFF (for example with QuPath)",
    "PDF": "save its image as TIFF, PNG or JPEG",
    filetypes.HDF5: "name the image",
}


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
    found = filetypes.required(present(path), _WANTED, "get it again")
    if found in _IMAGES:
        return _IMAGES[found]
    unpack = "unpack it" if found in filetypes.PACKED else "get it again, or convert it"
    raise filetypes.unlike(path, _WANTED, _REMEDIES.get(found, unpack))


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
