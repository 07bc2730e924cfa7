"""Reading and writing of `.h5ad`: compressed, atomic, with equal bytes for equal content."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError
from cell_synergy.core.files import atomic_write

_EXPECTED = "an .h5ad file"
_REMEDY = "write it again with adata.write_h5ad"
_KEY_NOTE = re.compile(r"Error raised while reading key '(.*)' of .* from (/.*)")
_NEWER = re.compile(r"No read method registered for (.*?) from")  # the text of anndata's error


def read(path: Path, remedy: str = _REMEDY) -> ad.AnnData:
    """Read an `.h5ad` of any source and of any version of anndata up to the installed one.

    Parameters
    ----------
    path
        The file.
    remedy
        Remedy for a broken file, for messages.

    Raises
    ------
    DataError
        If there is no such file, or it is broken, of another format, of a newer anndata, or larger
        than memory.
    """
    with explain_errors(path, remedy):
        return ad.read_h5ad(path)


@contextmanager
def explain_errors(path: Path, remedy: str = _REMEDY) -> Iterator[None]:
    """Raise every error of reading an `.h5ad` inside the block as a `DataError` of one sentence.

    A `DataError`, and an `OSError` with an error number (of the disk), pass unchanged.

    Parameters
    ----------
    path
        The file that the block reads.
    remedy
        Remedy for a broken file, for messages.

    Raises
    ------
    DataError
        If there is no such file, or it is broken, of another format, of a newer anndata, or larger
        than memory.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; check the path")
    if filetypes.require_readable(path, _EXPECTED, remedy) != filetypes.HDF5 and not h5py.is_hdf5(
        path
    ):
        raise filetypes.wrong_format(path, _EXPECTED, remedy)
    try:
        _require_obs(path)
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(
            f"{path}: needs more memory than there is ({error}); a file of less than that on disk "
            f"is broken: {remedy}; else give the machine more"
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # a failing disk
            raise
        raise DataError(f"{path}: {_why(error, remedy)}") from error


def _require_obs(path: Path) -> None:
    """Refuse an HDF5 file that anndata did not write."""
    with h5py.File(path, "r") as file:
        if "obs" not in file:
            raise DataError(
                f"{path}: an HDF5 file but no .h5ad: it holds {', '.join(file) or 'nothing'} and "
                "no obs; read it with the program that wrote it, and save it with adata.write_h5ad"
            )


def _why(error: Exception, remedy: str) -> str:
    """Return the reason why anndata cannot read a file, and the remedy, in one line."""
    notes = (_KEY_NOTE.fullmatch(note) for note in getattr(error, "__notes__", ()))
    keys = [f"{match[2].rstrip('/')}/{match[1]}".lstrip("/") for match in notes if match]
    inside = f" in {keys[0]}" if keys and keys[0] else ""
    if newer := _NEWER.match(str(error)):
        installed = version("anndata")
        return (
            f"written by a newer anndata than {installed}, which does not know {newer[1]}{inside}; "
            f"`pip install -U anndata`, or write the file again with anndata {installed}"
        )
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"a broken .h5ad file ({reason}{inside}); {remedy}"


def obs_difference(names: pd.Index, expected: pd.Index) -> str:
    """Return in words the first difference between the row names of a file and of the pairs.

    Parameters
    ----------
    names
        Names of the rows of the file, in order.
    expected
        Names of the paired observations, in order.

    Returns
    -------
    :
        Text for a message; empty if names and order agree.
    """
    if names.equals(expected):
        return ""
    if len(names) != len(expected):
        return f"has {len(names)} rows, the pairs have {len(expected)}"
    row = int(np.flatnonzero(names.to_numpy() != expected.to_numpy())[0])
    return f"row {row} is {names[row]!r}, the pairs have {expected[row]!r}"


def write(path: Path, adata: ad.AnnData) -> None:
    """Write an `.h5ad`: compressed, atomically, with equal bytes for equal content.

    Strings are stored with a fixed length. The variable-length strings that anndata writes cannot
    be compressed by HDF5 and would be most of a small file; anndata reads both alike.

    Parameters
    ----------
    path
        File to write.
    adata
        Content of the file.
    """
    with (
        atomic_write(path) as new,
        h5py.File(path.name, "w", driver="core", backing_store=False) as uncompressed,
        h5py.File(new, "w", libver="latest") as compressed,
    ):
        ad.io.write_elem(uncompressed, "/", adata)
        _copy_compressed(uncompressed, compressed)


def _copy_compressed(source: h5py.Group, target: h5py.Group) -> None:
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy_compressed(item, target.create_group(name))
            continue
        value = item[()]
        if h5py.check_string_dtype(item.dtype):
            value = np.char.encode(np.asarray(item.asstr()[()], dtype=str), "utf-8")
            value = value.astype(h5py.string_dtype("utf-8", value.itemsize))
        compress = item.ndim and value.nbytes > 256  # noqa: PLR2004 - size of a chunk's header
        options: dict[str, object] = {}
        if compress:
            options = {"compression": "gzip", "shuffle": True}
            options["compression_opts"] = 9 if value.nbytes < 2**24 else 6  # 9 takes 15 x as long
            options["chunks"] = (min(item.shape[0], 2**24), *item.shape[1:])  # HDF5's limit: 4 GiB
        copy = target.create_dataset(name, data=value, **options)
        copy.attrs.update(item.attrs)
