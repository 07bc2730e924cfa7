"""AnnData on disk: compressed, whole or absent, and the same bytes every time."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import h5py
import numpy as np

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError
from cell_synergy.core.files import atomic

WANTED = "an .h5ad file"
REMEDY = "write it again with adata.write_h5ad"
_WHERE = re.compile(r"Error raised while reading key '(.*)' of .* from (/.*)")
_NEWER = re.compile(r"No read method registered for (.*?) from")  # anndata's own words


def read(path: Path, remedy: str = REMEDY) -> ad.AnnData:
    """Read an `.h5ad` that anybody may have written, with any anndata.

    Parameters
    ----------
    path
        The file.
    remedy
        How a broken one is mended, for messages.

    Raises
    ------
    DataError
        If there is no such file, or it is broken, of another kind, or of a newer anndata.
    """
    with explained(path, remedy):
        return ad.read_h5ad(path)


@contextmanager
def explained(path: Path, remedy: str = REMEDY) -> Iterator[None]:
    """Say in one sentence why an `.h5ad` cannot be read; the parameters are those of `read`."""
    if not path.exists():
        raise DataError(f"{path}: no such file; check the path")
    if filetypes.required(path, WANTED, remedy) != filetypes.HDF5 and not h5py.is_hdf5(path):
        raise filetypes.unlike(path, WANTED, remedy)
    try:
        _check_kind(path)
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(
            f"{path}: needs more memory than there is ({error}); a file of less than that on disk "
            f"is broken: {remedy}; else give the machine more"
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the file's
            raise
        raise DataError(f"{path}: {_why(error, remedy)}") from error


def _check_kind(path: Path) -> None:
    """Refuse an HDF5 file that somebody else than anndata wrote."""
    with h5py.File(path, "r") as file:
        if "obs" not in file:
            raise DataError(
                f"{path}: an HDF5 file but no .h5ad: it holds {', '.join(file) or 'nothing'} and "
                "no obs; read it with what wrote it and save it with adata.write_h5ad"
            )


def _why(error: Exception, remedy: str) -> str:
    """Say in a line why anndata cannot read a file; whatever it raises, the file is the cause."""
    notes = (_WHERE.fullmatch(note) for note in getattr(error, "__notes__", ()))
    place = next((f"{found[2].rstrip('/')}/{found[1]}" for found in notes if found), "/").lstrip(
        "/"
    )
    inside = f" in {place}" if place else ""
    if newer := _NEWER.match(str(error)):
        own = version("anndata")
        return (
            f"written by a newer anndata than {own}, which does not know {newer[1]}{inside}; "
            f"`pip install -U anndata`, or write the file again with anndata {own}"
        )
    told = " ".join(str(error).split()) or type(error).__name__
    return f"a broken .h5ad file ({told}{inside}); {remedy}"


def write(path: Path, table: ad.AnnData) -> None:
    """Write `table` as an `.h5ad`.

    anndata stores names as variable-length strings, which HDF5 cannot compress and which would be
    most of a small file; here they have a fixed length, which anndata reads alike.
    """
    with (
        atomic(path) as new,
        h5py.File(path.name, "w", driver="core", backing_store=False) as plain,
        h5py.File(new, "w", libver="latest") as packed,
    ):
        ad.io.write_elem(plain, "/", table)
        _pack(plain, packed)


def _pack(source: h5py.Group, target: h5py.Group) -> None:
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _pack(item, target.create_group(name))
            continue
        value = item[()]
        if h5py.check_string_dtype(item.dtype):
            value = np.char.encode(np.asarray(item.asstr()[()], dtype=str), "utf-8")
            value = value.astype(h5py.string_dtype("utf-8", value.itemsize))
        worth = item.ndim and value.nbytes > 256  # noqa: PLR2004 - less than a chunk's own header
        packing: dict[str, object] = {}
        if worth:
            packing = {"compression": "gzip", "shuffle": True}
            packing["compression_opts"] = 9 if value.nbytes < 2**24 else 6  # 15 times as fast
            packing["chunks"] = (min(item.shape[0], 2**24), *item.shape[1:])  # under HDF5's 4 GiB
        copy = target.create_dataset(name, data=value, **packing)
        copy.attrs.update(item.attrs)
