"""Reading arrays from safetensors, `.npy` and `.npz` files; pickled objects are refused."""

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

_READ_ERRORS = (
    EOFError, LookupError, NotImplementedError, OSError, SafetensorError, TypeError, ValueError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read_safetensors(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """Return the arrays of a file of safetensors, by name.

    Parameters
    ----------
    path
        The file.
    remedy
        Remedy named in the error for a missing, damaged or wrong file.

    Raises
    ------
    DataError
        If the file is missing, damaged or not of safetensors.
    """
    with _explained(path, "a file of weights (safetensors)", filetypes.SAFETENSORS, remedy):
        return dict(load_file(path))


def read_npz(path: Path, expected: str, remedy: str) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` file, by name.

    Parameters
    ----------
    path
        The file.
    expected
        Expected content, for messages, with its article: `an array`.
    remedy
        Remedy named in the error for a missing, damaged or wrong file.

    Raises
    ------
    DataError
        If the file is missing, damaged, larger than memory or not an `.npz`, or contains pickled
        objects or other files than arrays.
    """
    with (
        _explained(path, expected, filetypes.ZIP, remedy),
        np.load(path, allow_pickle=False) as file,
    ):
        arrays = dict(file)
    if wrong := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise DataError(
            f"{path}: is a zip file with {wrong[0]}, which is no array, not {expected}; {remedy}"
        )
    return arrays


def read_npy(path: Path, expected: str, remedy: str) -> np.ndarray:
    """Return the array of an `.npy` file.

    Parameters
    ----------
    path
        The file.
    expected
        Expected content, for messages, with its article: `an array`.
    remedy
        Remedy named in the error for a missing, damaged or wrong file.

    Raises
    ------
    DataError
        If the file is missing, damaged, larger than memory or not an `.npy`, or contains pickled
        objects.
    """
    with _explained(path, expected, filetypes.NPY, remedy):
        return np.asarray(np.load(path, allow_pickle=False))


@contextmanager
def _explained(path: Path, expected: str, kind: str, remedy: str) -> Iterator[None]:
    """Check the format of a file, and raise errors of its reader as a DataError with a remedy."""
    if filetypes.require_readable(path, expected, remedy) != kind:
        raise filetypes.wrong_format(path, expected, remedy)
    try:
        yield
    except MemoryError as error:  # a damaged header may state any size
        raise DataError(f"{path}: is larger than memory, or damaged; {remedy}") from error
    except _READ_ERRORS as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path}: holds objects of Python, which are code and are never read; save plain "
                "numbers (`numpy.save(PATH, array.astype(float))`)"
            ) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: is cut short or damaged ({reason}); {remedy}") from error
