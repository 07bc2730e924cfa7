"""Cells from a table of transcripts, read in pieces: a section has tens of millions.

Columns as in Xenium's `transcripts.parquet`, with `he_x` and `he_y`, pixels of the H&E image, that
HEST-1k adds.
"""

import re
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64
from scipy import sparse

from cell_synergy.core import filetypes
from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.raw.sections.count_matrix import CONTROL, of_symbols
from cell_synergy.raw.sections.section_files import words

_COLUMNS = ("cell_id", "feature_name", "he_x", "he_y", "qv")
_QV = 20.0  # the quality from which Xenium Onboard Analysis counts a transcript
_NO_CELL = r"(UNASSIGNED|-1)$"
_PIECE = 2**20


class _Codes:
    """Numbers of names, in the order in which they are met; -1 of those that are refused."""

    def __init__(self, refused: str) -> None:
        self.of: dict[str, int] = {}
        self._refused = re.compile(refused)

    def __call__(self, names: pd.Series) -> Int64[np.ndarray, " rows"]:
        code, found = pd.factorize(names)
        new = [
            -1 if self._refused.match(name) else self.of.setdefault(name, len(self.of))
            for name in words(pd.Series(found))
        ]
        return np.array([*new, -1], dtype=np.int64)[code]  # no name is -1 itself


def count_cells(path: Path) -> ad.AnnData:
    """Count the transcripts of each cell.

    Returns
    -------
    Cells x genes; `obsm["spatial"]` is the mean place of a cell's transcripts, in pixels.
    """
    filetypes.required(path, "a Parquet table", "fetch it again")
    cells, genes = _Codes(_NO_CELL), _Codes(CONTROL)
    pieces: list[sparse.coo_matrix] = []
    sums = np.zeros((0, 3))
    try:
        with pq.ParquetFile(path) as file:
            columns = _needed(path, file.schema_arrow.names)
            for batch in file.iter_batches(_PIECE, columns=columns):
                table, row, column = _coded(batch.to_pandas(), cells, genes)
                if table.empty:
                    continue
                ones = np.ones(len(row), dtype=np.float32)
                pieces.append(sparse.csr_matrix((ones, (row, column))).tocoo())
                sums = np.vstack([sums, np.zeros((len(cells.of) - len(sums), 3))])
                for axis, weight in enumerate((table["he_x"], table["he_y"], ones)):
                    sums[:, axis] += np.bincount(row, np.asarray(weight), minlength=len(sums))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}); fetch it again") from error
    if not cells.of:
        raise DataError(f"{path}: no transcript is in a cell; set sections.units to spots")
    data, row, column = (
        np.concatenate([getattr(piece, part) for piece in pieces])
        for part in ("data", "row", "col")
    )
    shape = (len(cells.of), len(genes.of))
    counts = sparse.csr_matrix((data, (row, column)), shape=shape, dtype=np.float32)
    found = of_symbols(counts, pd.Index(list(cells.of)), pd.Series(list(genes.of)))
    found.obsm["spatial"] = sums[:, :2] / sums[:, 2:]
    return found


def _needed(path: Path, names: list[str]) -> list[str]:
    for column in _COLUMNS:
        if column not in names:
            raise DataError(f"{path}: no column {column!r}{suggest(column, names)}")
    return [*_COLUMNS, *(["is_gene"] if "is_gene" in names else [])]


def _coded(
    table: pd.DataFrame, cells: _Codes, genes: _Codes
) -> tuple[pd.DataFrame, Int64[np.ndarray, " rows"], Int64[np.ndarray, " rows"]]:
    """Keep the transcripts of genes that are in a cell and of sufficient quality, with numbers."""
    table = table[table["qv"] >= _QV]
    if "is_gene" in table:
        table = table[table["is_gene"].astype(bool)]
    column = genes(table["feature_name"])
    table, column = table[column >= 0], column[column >= 0]
    row = cells(table["cell_id"])
    return table[row >= 0], row[row >= 0], column[row >= 0]
