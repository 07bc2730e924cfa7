"""The raw `.h5ad` of a simulated section: small, and the same bytes every time."""

from pathlib import Path

import h5py
import numpy as np
from anndata import AnnData
from anndata.io import write_elem

PACKED = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
SMALL = 256  # bytes below which packing costs more than it saves


def write(path: Path, section: AnnData) -> None:
    """Write `section` as an `.h5ad`, gzip-compressed.

    anndata stores names as variable-length strings, which HDF5 cannot compress and which would be
    most of a small file; here they have a fixed length, which anndata reads alike.
    """
    with (
        h5py.File(path.name, "w", driver="core", backing_store=False) as plain,
        h5py.File(path, "w", libver="latest") as packed,
    ):
        write_elem(plain, "/", section)
        _copy(plain, packed)


def _copy(source: h5py.Group, target: h5py.Group) -> None:
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(name))
            continue
        value = item[()]
        if h5py.check_string_dtype(item.dtype) and item.ndim:
            value = np.char.encode(item.asstr()[()].astype(str), "utf-8")
        worth = item.ndim and value.nbytes > SMALL
        packing = {**PACKED, "chunks": value.shape} if worth else {}
        copy = target.create_dataset(name, data=value, **packing)
        copy.attrs.update(item.attrs)
