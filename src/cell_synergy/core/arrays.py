"""Arrays from files: safetensors, `.npy` and `.npz`. What is broken is named, nothing unpickled."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError

_BROKEN = (
    EOFError, LookupError, NotImplementedError, OSError, SafetensorError, TypeError, ValueError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def safetensors(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """Return the named arrays of a file of safetensors.

    Parameters
    ----------
    path
        The file.
    remedy
        What to do where it is missing or broken.

    Raises
    ------
    DataError
        If it is no whole file of safetensors.
    """
    with _explained(path, "a file of weights (safetensors)", filetypes.SAFETENSORS, remedy):
        return dict(load_file(path))


def npz(path: Path, wanted: str, remedy: str) -> dict[str, np.ndarray]:
    """Return the named arrays of an `.npz`; `wanted` says what it should be, with its article.

    Raises
    ------
    DataError
        If it is no whole `.npz`, or holds objects of Python.
    """
    with _explained(path, wanted, filetypes.ZIP, remedy), np.load(path, allow_pickle=False) as file:
        found = dict(file)
    if odd := [name for name, array in found.items() if not isinstance(array, np.ndarray)]:
        raise DataError(
            f"{path}: is a zip file with {odd[0]}, which is no array, not {wanted}; {remedy}"
        )
    return found


def npy(path: Path, wanted: str, remedy: str) -> np.ndarray:
    """Return the array of an `.npy`; `wanted` says what it should be, with its article.

    Raises
    ------
    DataError
        If it is no whole `.npy`, or holds objects of Python.
    """
    with _explained(path, wanted, filetypes.NPY, remedy):
        return np.asarray(np.load(path, allow_pickle=False))


@contextmanager
def _explained(path: Path, wanted: str, kind: str, remedy: str) -> Iterator[None]:
    """Check what a file is, and turn the errors of its reader into one sentence."""
    if filetypes.required(path, wanted, remedy) != kind:
        raise filetypes.unlike(path, wanted, remedy)
    try:
        yield
    except MemoryError as error:  # what a broken header says
        raise DataError(
            f"{path}: says to be larger than memory, or is damaged; {remedy}"
        ) from error
    except _BROKEN as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path}: holds objects of Python, which are code and are never read; save plain "
                "numbers (`numpy.save(PATH, array.astype(float))`)"
            ) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: is cut short or damaged ({reason}); {remedy}") from error
