"""10x feature-barcode matrices, as HDF5 or as Matrix Market files.

Layouts: 10x Genomics, "Feature-barcode matrices HDF5" and "... MEX", which Cell Ranger, Space
Ranger and Xenium Onboard Analysis share. Only features of type "Gene Expression" are genes:
Xenium's control probes, control codewords and unassigned codewords are other types. The layout of
Cell Ranger 2 has no types; there controls are told by their names.

scipy reads the numbers; names are read here, line by line. `scanpy.read_10x_mtx` would do both, but
takes genes and barcodes that are called `nan` or `NA` for missing ones.
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
from cell_synergy.raw.sections.section_files import AGAIN, find, matches, read_lines, unpacked

CONTROL = r"(NegControl|BLANK|antisense|Unassigned|Deprecated|Intergenic)"
_GENES = "Gene Expression"
_BROKEN = (
    *(OSError, EOFError, KeyError, ValueError, TypeError, IndexError, OverflowError, MemoryError),
    *(RuntimeError, zlib.error),
)


class _Matrix(NamedTuple):
    """Barcodes x features, their names, and the type of each feature ("" where none is given)."""

    counts: sparse.csr_matrix
    barcodes: list[str]
    names: list[str]
    types: list[str]


def read_matrix(folder: Path, name: str) -> ad.AnnData:
    """Read the counts of `<name>.h5`, or of the folder `<name>`, or of its three files in `folder`.

    Any name of a data set may stand before the name of a file or folder, as GEO has it.

    Returns
    -------
    Barcodes x genes, CSR. Genes have their symbols as names; the counts of genes that share a
    symbol are added.

    Raises
    ------
    DataError
        If none is there, or what is there is not such a matrix.
    """
    if matches(folder, f"*{name}.h5"):
        return _of_genes(_read_hdf5(path := find(folder, f"*{name}.h5")), path)
    folders = [path for path in matches(folder, f"*{name}") if path.is_dir()]
    if not folders and matches(folder, "*matrix.mtx", "*matrix.mtx.gz"):
        return _of_genes(_read_folder(folder), folder)
    if not folders and (packed := matches(folder, f"*{name}.tar*", f"*{name}*.zip")):
        raise DataError(f"{folder}: no {name}.h5 (or the folder {name}); unpack {packed[0].name}")
    path = find(folder, f"*{name}", f"{name}.h5 (or the folder {name})")
    return _of_genes(_read_folder(path), path)


def as_counts(source: Any, where: str) -> sparse.csr_matrix:  # noqa: ANN401 - dense or sparse
    """Return counts as CSR in float32 whose entries are in order and occur once.

    Raises
    ------
    DataError
        If these are no numbers, or a sparse matrix points outside itself: its counts would be
        other genes'.
    """
    kind = getattr(source, "dtype", np.dtype(object))
    if kind.kind not in "iuf":
        raise DataError(f"{where}: a matrix of type {kind}, not of counts; write it again")
    try:
        if isinstance(
            source, sparse.csr_matrix | sparse.csc_matrix | sparse.csr_array | sparse.csc_array
        ):
            source.check_format(full_check=True)  # before a conversion follows the pointers
        counts: sparse.csr_matrix = sparse.csr_matrix(source, dtype=np.float32)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: not a matrix of counts ({error}); write it again") from error
    counts.sum_duplicates()
    return counts


def _read_hdf5(path: Path) -> _Matrix:
    try:
        with h5py.File(path) as file:
            group = file["matrix"] if "matrix" in file else _of_one_genome(file)
            features, barcodes = (int(size) for size in group["shape"][()])
            parts = tuple(group[part][()] for part in ("data", "indices", "indptr"))
            names = _text(group["barcodes"])
            if "features" in group:
                table = group["features"]
                found = names, _text(table["name"]), _text(table["feature_type"])
            else:
                genes = _text(group["gene_names"])
                found = names, genes, [""] * len(genes)
        _require_names((barcodes, features), found, path)
        counts = as_counts(_csr(parts, (barcodes, features)), str(path))
    except _BROKEN as error:
        if isinstance(error, DataError):
            raise
        raise filetypes.unlike(path, "a 10x matrix (HDF5)", AGAIN, error, filetypes.HDF5) from error
    return _Matrix(counts, *found)


def _csr(parts: tuple[np.ndarray, ...], shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return a matrix of parts that are not checked yet; scipy checks their lengths alone."""
    if parts[0].dtype.kind not in "iuf" or any(part.dtype.kind not in "iu" for part in parts[1:]):
        kinds = ", ".join(str(part.dtype) for part in parts)
        raise ValueError(f"data, indices and indptr of types {kinds}")
    return sparse.csr_matrix(parts, shape=shape)


def _of_one_genome(file: h5py.File) -> h5py.Group:
    """Return the matrix of Cell Ranger 2, which has one group per genome."""
    found = [group for group in file.values() if isinstance(group, h5py.Group)]
    genomes = [group for group in found if "gene_names" in group]
    if len(genomes) != 1:
        raise ValueError(
            f"{len(genomes)} groups of a genome's genes; one, or the group 'matrix', is needed"
        )
    return genomes[0]


def _text(names: h5py.Dataset) -> list[str]:
    if h5py.check_string_dtype(names.dtype) is None and names.dtype.kind != "S":
        return [str(name) for name in names[()].tolist()]  # numbers
    return [str(name) for name in names.asstr()[()]]


def _read_folder(path: Path) -> _Matrix:
    wanted = {
        "matrix.mtx.gz": ("*matrix.mtx.gz", "*matrix.mtx"),
        "barcodes.tsv.gz": ("*barcodes.tsv.gz", "*barcodes.tsv"),
        "features.tsv.gz": ("*features.tsv.gz", "*features.tsv", "*genes.tsv.gz", "*genes.tsv"),
    }
    found = {name: matches(path, *patterns) for name, patterns in wanted.items()}
    if lacking := [part for part, files in found.items() if not files]:
        raise DataError(
            f"{path}: not a 10x matrix of {', '.join(wanted)}: no {', no '.join(lacking)}; "
            "put what is missing there"
        )
    for files in found.values():
        if len(files) > 1:
            told = ", ".join(file.name for file in files)
            raise DataError(f"{path}: {told} are there; keep one of them")
    matrix, barcodes, features = (files[0] for files in found.values())
    try:
        counts = as_counts(_read_numbers(matrix).T, str(matrix))
        names = [row[0] for row in _columns(barcodes, 1)]
        rows = _columns(features, 3)
    except _BROKEN as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path}: not a 10x matrix of {barcodes.name}, {features.name} and {matrix.name} "
            f"({error}); copy it again"
        ) from error
    found_names = names, [row[1] or row[0] for row in rows], [row[2] for row in rows]
    _require_names(counts.shape, found_names, path)
    return _Matrix(counts, *found_names)


def _require_names(
    shape: tuple[int, int], found: tuple[list[str], list[str], list[str]], path: Path
) -> None:
    """Refuse a matrix with more or fewer names than rows and columns, or a barcode that repeats."""
    barcodes, names, types = found
    if shape != (len(barcodes), len(names)) or len(types) != len(names):
        raise DataError(
            f"{path}: a matrix of {shape[1]} features and {shape[0]} barcodes, but {len(names)} "
            f"features and {len(barcodes)} barcodes are named; copy it again"
        )
    index = pd.Index(barcodes)
    if len(twice := index[index.duplicated()]):
        raise DataError(
            f"{path}: {len(twice)} barcodes occur more than once (e.g. {twice[0]!r}); keep one each"
        )


def _read_numbers(path: Path) -> sparse.csc_matrix:
    with unpacked(path) as file:
        banner = file.readline().decode("utf-8", "replace").lower().split()
        if banner[:1] != ["%%matrixmarket"] or not {"integer", "real", "double"} & set(banner):
            raise ValueError(
                f"{path.name} begins with {' '.join(banner)[:60]!r}, not with '%%MatrixMarket "
                "matrix coordinate integer general'"
            )
        if banner[-1] != "general":
            raise ValueError(f"{path.name} is {banner[-1]}, which counts are not")
        file.seek(0)
        found = io.mmread(file)
    return sparse.csc_matrix(found)


def _columns(path: Path, count: int) -> list[list[str]]:
    """Return the columns of a table without header, "" for those that it does not have."""
    rows = [line.split("\t") for line in read_lines(path)]
    while rows and rows[-1] == [""]:
        rows.pop()
    width = max(map(len, rows), default=1)
    if any(len(row) != width for row in rows):
        number = next(i for i, row in enumerate(rows) if len(row) != width)
        raise ValueError(f"line {number + 1} of {path.name} has not {width} columns")
    filled = [(row + [""] * count)[:count] for row in rows]
    for column in range(min(width, count)):  # R puts names in quotes
        if all(len(row[column]) > 1 and row[column][0] == row[column][-1] == '"' for row in filled):
            for row in filled:
                row[column] = row[column][1:-1]
    return filled


def _of_genes(found: _Matrix, path: Path) -> ad.AnnData:
    counts, barcodes, names, types = found
    symbols = pd.Series(names, dtype=object)
    if any(types):
        if "" in types:
            raise DataError(
                f"{path}: {types.count('')} of {len(types)} features have no type; name it, for "
                f"genes {_GENES!r}"
            )
        kept = np.array(types) == _GENES
    else:
        kept = ~symbols.str.match(CONTROL).to_numpy(bool)
    if not kept.any():
        told = ", ".join(sorted(set(types) - {""})) or "controls"
        raise DataError(f"{path}: no feature of type {_GENES!r}, only {told}; give RNA counts")
    return of_symbols(counts[:, np.flatnonzero(kept)], barcodes, symbols[kept])


def of_symbols(
    counts: sparse.csr_matrix, names: Sequence[str] | pd.Index, symbols: pd.Series
) -> ad.AnnData:
    """Return counts with one column per symbol, in the order in which symbols occur first."""
    column, found = pd.factorize(symbols)
    if len(found) < len(symbols):
        ones = np.ones(len(symbols), dtype=np.float32)
        onto = sparse.csr_matrix((ones, (np.arange(len(symbols)), column)))
        counts = sparse.csr_matrix(counts @ onto)
    counts.sort_indices()
    obs = pd.DataFrame(index=pd.Index(names, dtype=object))
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=pd.Index(found, dtype=object)))
