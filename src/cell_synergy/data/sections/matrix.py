"""10x feature-barcode matrices, as HDF5 or as a folder of Matrix Market files.

Layouts: 10x Genomics, "Feature-barcode matrices HDF5" and "... MEX", Cell Ranger 3 and later, which
Space Ranger and Xenium Onboard Analysis share. Only features of type "Gene Expression" are genes:
Xenium's control probes, control codewords and unassigned codewords are other types.
"""

from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from scipy import io, sparse

from cell_synergy.core.errors import DataError
from cell_synergy.data.sections.files import find

_GENES = "Gene Expression"


def read_matrix(folder: Path, name: str) -> ad.AnnData:
    """Read the counts of `<name>.h5`, or of the folder `<name>` without it.

    Returns
    -------
    Barcodes x genes, CSR. Genes have their symbols as names; the counts of genes that share a
    symbol are added.

    Raises
    ------
    DataError
        If neither is there, or what is there is not such a matrix.
    """
    if list(folder.glob(f"*{name}.h5")):
        return _of_genes(*_read_hdf5(path := find(folder, f"*{name}.h5")), path)
    path = find(folder, f"*{name}", f"{name}.h5 (or the folder {name})")
    return _of_genes(*_read_folder(path), path)


def _read_hdf5(path: Path) -> tuple[sparse.csr_matrix, pd.Index, pd.DataFrame]:
    try:
        with h5py.File(path) as file:
            matrix = file["matrix"]
            features, barcodes = (int(size) for size in matrix["shape"][()])
            parts = tuple(matrix[part][()] for part in ("data", "indices", "indptr"))
            names = pd.Index(matrix["barcodes"].asstr()[()])
            table = pd.DataFrame(
                {key: matrix["features"][key].asstr()[()] for key in ("name", "feature_type")}
            )
        counts = sparse.csr_matrix(parts, shape=(barcodes, features), dtype=np.float32)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{path}: not a 10x matrix of Cell Ranger 3 or later ({error}); copy it again"
        ) from error
    return counts, names, table


def _read_folder(path: Path) -> tuple[sparse.csr_matrix, pd.Index, pd.DataFrame]:
    try:
        counts = sparse.csr_matrix(io.mmread(path / "matrix.mtx.gz").T, dtype=np.float32)
        names, features = (
            pd.read_csv(path / f"{part}.tsv.gz", sep="\t", header=None, dtype=str)
            for part in ("barcodes", "features")
        )
        table = pd.DataFrame({"name": features[1], "feature_type": features[2]})
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{path}: not a 10x matrix of barcodes.tsv.gz, features.tsv.gz and matrix.mtx.gz "
            f"({error}); copy it again"
        ) from error
    return counts, pd.Index(names[0]), table


def _of_genes(
    counts: sparse.csr_matrix, names: pd.Index, features: pd.DataFrame, path: Path
) -> ad.AnnData:
    if counts.shape != (len(names), len(features)):
        raise DataError(
            f"{path}: a matrix of {counts.shape[1]} features and {counts.shape[0]} barcodes, but "
            f"{len(features)} features and {len(names)} barcodes are named; copy it again"
        )
    kept = (features["feature_type"] == _GENES).to_numpy()
    if not kept.any():
        found = ", ".join(sorted(features["feature_type"].unique()))
        raise DataError(f"{path}: no feature of type {_GENES!r}, only {found}; give RNA counts")
    return of_symbols(counts[:, np.flatnonzero(kept)], names, features.loc[kept, "name"])


def of_symbols(counts: sparse.csr_matrix, names: pd.Index, symbols: pd.Series) -> ad.AnnData:
    """Return counts with one column per symbol, in the order in which symbols occur first."""
    column, found = pd.factorize(symbols)
    if len(found) < len(symbols):
        ones = np.ones(len(symbols), dtype=np.float32)
        onto = sparse.csr_matrix((ones, (np.arange(len(symbols)), column)))
        counts = sparse.csr_matrix(counts @ onto)
    counts.sort_indices()
    return ad.AnnData(counts, obs=pd.DataFrame(index=names), var=pd.DataFrame(index=found))
