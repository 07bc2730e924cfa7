"""10x feature-barcode matrices, as HDF5 or as Matrix Market files.

Layouts: 10x Genomics, "Feature-barcode matrices HDF5" and "... MEX". Only features of type "Gene
Expression" are genes; in Cell Ranger 2, which has no types, controls are recognised by name.
`scanpy.read_10x_mtx` is not used, since it reads genes called `nan` or `NA` as missing values.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from scipy import io, sparse

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError
from cell_synergy.raw.sections.section_files import AGAIN, find, matches, open_unpacked, read_lines

CONTROL = r"(NegControl|BLANK|antisense|Unassigned|Deprecated|Intergenic)"
_GENE_TYPE = "Gene Expression"
_COMPRESSED = (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array)
_READ_ERRORS = (
    *(OSError, EOFError, KeyError, ValueError, TypeError, IndexError, OverflowError, MemoryError),
    *(RuntimeError, zlib.error),
)


class _Names(NamedTuple):
    """Barcodes, names of features, and the type of each feature ("" if the file has none)."""

    barcodes: list[str]
    features: list[str]
    types: list[str]


def read_matrix(folder: Path, name: str) -> ad.AnnData:
    """Read the counts of `<name>.h5`, of the folder `<name>`, or of its three files in `folder`.

    The name of a sample may precede the name of a file or folder, as in GEO.

    Parameters
    ----------
    folder
        Folder of the matrix.
    name
        Name of the matrix in the platform's layout, for example `cell_feature_matrix`.

    Returns
    -------
    :
        Barcodes x genes (CSR, float32), without controls and other features. Genes are named by
        symbol; the counts of genes that share a symbol are added.

    Raises
    ------
    DataError
        If there is no such matrix or more than one, it cannot be read, its names do not match its
        shape, a barcode occurs twice, or no feature is a gene.
    """
    if matches(folder, f"*{name}.h5"):
        path = find(folder, f"*{name}.h5")
        return _select_genes(*_read_hdf5(path), path)
    folders = [path for path in matches(folder, f"*{name}") if path.is_dir()]
    if not folders and matches(folder, "*matrix.mtx", "*matrix.mtx.gz"):
        return _select_genes(*_read_folder(folder), folder)
    if not folders and (packed := matches(folder, f"*{name}.tar*", f"*{name}*.zip")):
        raise DataError(f"{folder}: no {name}.h5 (or the folder {name}); unpack {packed[0].name}")
    path = find(folder, f"*{name}", f"{name}.h5 (or the folder {name})")
    return _select_genes(*_read_folder(path), path)


def as_counts(source: Any, where: str) -> sparse.csr_matrix:  # noqa: ANN401 - dense or sparse
    """Return counts as CSR in float32, with sorted indices and without duplicate entries.

    Negative and fractional values are not refused here.

    Parameters
    ----------
    source
        A dense or sparse matrix, observations x genes.
    where
        File and key, for messages.

    Raises
    ------
    DataError
        If the matrix does not have real numbers, or the indices of a sparse matrix are out of
        range.
    """
    dtype = getattr(source, "dtype", np.dtype(object))
    if dtype.kind not in "iuf":
        raise DataError(f"{where}: a matrix of type {dtype}, not of counts; write it again")
    try:
        if isinstance(source, _COMPRESSED):  # conversion does not check the indices
            source.check_format(full_check=True)
        counts: sparse.csr_matrix = sparse.csr_matrix(source, dtype=np.float32)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: not a matrix of counts ({error}); write it again") from error
    counts.sum_duplicates()
    return counts


def _read_hdf5(path: Path) -> tuple[sparse.csr_matrix, _Names]:
    """Return barcodes x features and their names."""
    try:
        with h5py.File(path) as file:
            group = file["matrix"] if "matrix" in file else _single_genome(file)
            n_features, n_barcodes = (int(size) for size in group["shape"][()])
            arrays = tuple(group[part][()] for part in ("data", "indices", "indptr"))
            barcodes = _read_text(group["barcodes"])
            if "features" in group:
                features = group["features"]
                types = _read_text(features["feature_type"])
                names = _Names(barcodes, _read_text(features["name"]), types)
            else:
                genes = _read_text(group["gene_names"])
                names = _Names(barcodes, genes, [""] * len(genes))
        _require_names((n_barcodes, n_features), names, path)
        counts = as_counts(_csr(arrays, (n_barcodes, n_features)), str(path))
    except _READ_ERRORS as error:
        if isinstance(error, DataError):
            raise
        raise filetypes.wrong_format(
            path, "a 10x matrix (HDF5)", AGAIN, error, filetypes.HDF5
        ) from error
    return counts, names


def _csr(arrays: tuple[np.ndarray, ...], shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return a matrix of data, indices and indptr after checking types, which scipy does not."""
    data, *indices = arrays
    if data.dtype.kind not in "iuf" or any(array.dtype.kind not in "iu" for array in indices):
        types = ", ".join(str(array.dtype) for array in arrays)
        raise ValueError(f"data, indices and indptr of types {types}")
    return sparse.csr_matrix(arrays, shape=shape)


def _single_genome(file: h5py.File) -> h5py.Group:
    """Return the matrix in the layout of Cell Ranger 2, which has one group per genome."""
    groups = [group for group in file.values() if isinstance(group, h5py.Group)]
    genomes = [group for group in groups if "gene_names" in group]
    if len(genomes) != 1:
        raise ValueError(
            f"{len(genomes)} groups of a genome's genes; one, or the group 'matrix', is needed"
        )
    return genomes[0]


def _read_text(names: h5py.Dataset) -> list[str]:
    if h5py.check_string_dtype(names.dtype) is None and names.dtype.kind != "S":
        return [str(name) for name in names[()].tolist()]  # some tools store numbers
    return [str(name) for name in names.asstr()[()]]


def _read_folder(path: Path) -> tuple[sparse.csr_matrix, _Names]:
    """Return barcodes x features and their names."""
    patterns_of = {
        "matrix.mtx.gz": ("*matrix.mtx.gz", "*matrix.mtx"),
        "barcodes.tsv.gz": ("*barcodes.tsv.gz", "*barcodes.tsv"),
        "features.tsv.gz": ("*features.tsv.gz", "*features.tsv", "*genes.tsv.gz", "*genes.tsv"),
    }
    files_of = {name: matches(path, *patterns) for name, patterns in patterns_of.items()}
    if missing := [name for name, files in files_of.items() if not files]:
        raise DataError(
            f"{path}: not a 10x matrix of {', '.join(patterns_of)}: no {', no '.join(missing)}; "
            "put what is missing there"
        )
    for files in files_of.values():
        if len(files) > 1:
            listed = ", ".join(file.name for file in files)
            raise DataError(f"{path}: {listed} are there; keep one of them")
    matrix, barcodes, features = (files[0] for files in files_of.values())
    try:
        counts = as_counts(_read_matrix_market(matrix).T, str(matrix))
        barcode_names = [row[0] for row in _read_columns(barcodes, 1)]
        rows = _read_columns(features, 3)
    except _READ_ERRORS as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path}: not a 10x matrix of {barcodes.name}, {features.name} and {matrix.name} "
            f"({error}); copy it again"
        ) from error
    symbols = [row[1] or row[0] for row in rows]
    names = _Names(barcode_names, symbols, [row[2] for row in rows])
    _require_names(counts.shape, names, path)
    return counts, names


def _require_names(shape: tuple[int, int], names: _Names, path: Path) -> None:
    """Refuse names that do not match the shape (barcodes, features), and duplicate barcodes."""
    barcodes, features, types = names
    if shape != (len(barcodes), len(features)) or len(types) != len(features):
        raise DataError(
            f"{path}: a matrix of {shape[1]} features and {shape[0]} barcodes, but {len(features)} "
            f"features and {len(barcodes)} barcodes are named; copy it again"
        )
    index = pd.Index(barcodes)
    if len(duplicates := index[index.duplicated()]):
        raise DataError(
            f"{path}: {len(duplicates)} barcodes occur more than once (e.g. {duplicates[0]!r}); "
            "keep one each"
        )


def _read_matrix_market(path: Path) -> sparse.csc_matrix:
    """Return features x barcodes."""
    with open_unpacked(path) as file:
        banner = file.readline().decode("utf-8", "replace").lower().split()
        if banner[:1] != ["%%matrixmarket"] or not {"integer", "real", "double"} & set(banner):
            raise ValueError(
                f"{path.name} begins with {' '.join(banner)[:60]!r}, not with '%%MatrixMarket "
                "matrix coordinate integer general'"
            )
        if banner[-1] != "general":
            raise ValueError(f"{path.name} is {banner[-1]}, which counts are not")
        file.seek(0)
        return sparse.csc_matrix(io.mmread(file))


def _read_columns(path: Path, count: int) -> list[list[str]]:
    """Return the rows of a table without header, with "" for columns that it does not have."""
    rows = [line.split("\t") for line in read_lines(path)]
    while rows and rows[-1] == [""]:
        rows.pop()
    width = max(map(len, rows), default=1)
    if any(len(row) != width for row in rows):
        line = next(i for i, row in enumerate(rows, start=1) if len(row) != width)
        raise ValueError(f"line {line} of {path.name} has not {width} columns")
    filled = [(row + [""] * count)[:count] for row in rows]
    for column in range(min(width, count)):  # R writes names in quotes
        if all(len(row[column]) > 1 and row[column][0] == row[column][-1] == '"' for row in filled):
            for row in filled:
                row[column] = row[column][1:-1]
    return filled


def _select_genes(counts: sparse.csr_matrix, names: _Names, path: Path) -> ad.AnnData:
    """Return the counts of genes, without controls and features of other types."""
    symbols, types = pd.Series(names.features, dtype=object), names.types
    if any(types):
        if "" in types:
            raise DataError(
                f"{path}: {types.count('')} of {len(types)} features have no type; name it, for "
                f"genes {_GENE_TYPE!r}"
            )
        is_gene = np.array(types) == _GENE_TYPE
    else:
        is_gene = ~symbols.str.match(CONTROL).to_numpy(bool)
    if not is_gene.any():
        others = ", ".join(sorted(set(types) - {""})) or "controls"
        raise DataError(
            f"{path}: no feature of type {_GENE_TYPE!r}, only {others}; give RNA counts"
        )
    return by_symbol(counts[:, np.flatnonzero(is_gene)], names.barcodes, symbols[is_gene])


def by_symbol(
    counts: sparse.csr_matrix, obs_names: Sequence[str] | pd.Index, symbols: pd.Series
) -> ad.AnnData:
    """Return counts as AnnData, one column per symbol in the order in which symbols first occur.

    Parameters
    ----------
    counts
        Raw counts, spots or cells x features.
    obs_names, symbols
        Names of the rows, and gene symbols of the columns; columns of equal symbols are added.
    """
    counts, genes = sum_columns(counts, symbols)
    obs = pd.DataFrame(index=pd.Index(obs_names, dtype=object))
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=genes))


def sum_columns(
    counts: sparse.csr_matrix, names: Sequence[str] | pd.Series
) -> tuple[sparse.csr_matrix, pd.Index]:
    """Add columns of equal names; return sums and names in the order of first occurrence.

    Parameters
    ----------
    counts, names
        Matrix, rows x columns, whose indices may be sorted in place; name of each column.
    """
    column, unique = pd.factorize(np.asarray(names, dtype=object))
    if len(unique) < len(column):
        ones = np.ones(len(column), dtype=np.float32)
        membership = sparse.csr_matrix((ones, (np.arange(len(column)), column)))
        counts = sparse.csr_matrix(counts @ membership)
    counts.sort_indices()
    return counts, pd.Index(unique, dtype=object)
