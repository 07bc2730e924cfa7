"""AnnData on disk: compressed, whole or absent, and the same bytes every time."""

from pathlib import Path

import anndata as ad
import h5py
import numpy as np

from cell_synergy.core.atomic import atomic


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
