"""Counts of cells from a table of transcripts, read in batches: a section has tens of millions.

The columns are those of Xenium's `transcripts.parquet`, and `he_x` and `he_y` (pixels of the H&E
image), which HEST-1k adds.
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
from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest
from cell_synergy.raw.sections.count_matrix import CONTROL, by_symbol
from cell_synergy.raw.sections.section_files import as_text

_COLUMNS = ("cell_id", "feature_name", "he_x", "he_y", "qv")
_MIN_QUALITY = 20.0  # threshold of `qv` in Xenium Onboard Analysis (Phred scale)
_NO_CELL = r"(UNASSIGNED|-1)$"
_BATCH_ROWS = 2**20


class _NameIndex:
    """Integer codes of names, in the order in which names first occur over all batches.

    Parameters
    ----------
    excluded
        Pattern of names that have no code.
    """

    def __init__(self, excluded: str) -> None:
        self.code_of: dict[str, int] = {}
        self._excluded = re.compile(excluded)

    def encode(self, names: pd.Series) -> Int64[np.ndarray, " rows"]:
        """Return the code of each name, -1 for excluded and missing names."""
        in_batch, unique = pd.factorize(names)
        codes = [
            -1 if self._excluded.match(name) else self.code_of.setdefault(name, len(self.code_of))
            for name in as_text(pd.Series(unique))
        ]
        # `factorize` gives missing names the code -1, which selects the appended last element.
        return np.array([*codes, -1], dtype=np.int64)[in_batch]


def count_cells(path: Path) -> ad.AnnData:
    """Count the transcripts of each cell, without controls and those of a quality below 20.

    Parameters
    ----------
    path
        Parquet table of transcripts: `cell_id`, `feature_name`, `he_x`, `he_y`, `qv`.

    Returns
    -------
    :
        Cells x genes (CSR, float32); `obsm["spatial"]` is the mean position of a cell's
        transcripts, in pixels of the H&E image.

    Raises
    ------
    DataError
        If the table cannot be read or lacks a column, or no transcript is in a cell.
    """
    filetypes.require_readable(path, "a Parquet table", "fetch it again")
    cells, genes = _NameIndex(_NO_CELL), _NameIndex(CONTROL)
    batches: list[sparse.coo_matrix] = []
    sums = np.zeros((0, 3))  # per cell: sum of x, sum of y, number of transcripts
    try:
        with pq.ParquetFile(path) as file:
            columns = _columns_to_read(path, file.schema_arrow.names)
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
                table, row, column = _encode(batch.to_pandas(), cells, genes)
                if table.empty:
                    continue
                ones = np.ones(len(row), dtype=np.float32)
                batches.append(sparse.csr_matrix((ones, (row, column))).tocoo())
                sums = np.vstack([sums, np.zeros((len(cells.code_of) - len(sums), 3))])
                for axis, weight in enumerate((table["he_x"], table["he_y"], ones)):
                    sums[:, axis] += np.bincount(row, np.asarray(weight), minlength=len(sums))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}); fetch it again") from error
    if not cells.code_of:
        raise DataError(f"{path}: no transcript is in a cell; set reader.units to spots")
    data, row, column = (
        np.concatenate([getattr(batch, part) for batch in batches])
        for part in ("data", "row", "col")
    )
    shape = (len(cells.code_of), len(genes.code_of))
    counts = sparse.csr_matrix((data, (row, column)), shape=shape, dtype=np.float32)
    adata = by_symbol(counts, pd.Index(list(cells.code_of)), pd.Series(list(genes.code_of)))
    adata.obsm["spatial"] = sums[:, :2] / sums[:, 2:]
    return adata


def _columns_to_read(path: Path, present: list[str]) -> list[str]:
    for column in _COLUMNS:
        if column not in present:
            raise DataError(f"{path}: no column {column!r}{suggest(column, present)}")
    return [*_COLUMNS, *(["is_gene"] if "is_gene" in present else [])]


def _encode(
    table: pd.DataFrame, cells: _NameIndex, genes: _NameIndex
) -> tuple[pd.DataFrame, Int64[np.ndarray, " rows"], Int64[np.ndarray, " rows"]]:
    """Select the transcripts of genes that are in a cell, of quality 20 or more; encode names.

    Returns
    -------
    :
        The selected rows, and the codes of the cell and of the gene of each.
    """
    table = table[table["qv"] >= _MIN_QUALITY]
    if "is_gene" in table:
        table = table[table["is_gene"].astype(bool)]
    column = genes.encode(table["feature_name"])
    table, column = table[column >= 0], column[column >= 0]
    row = cells.encode(table["cell_id"])
    return table[row >= 0], row[row >= 0], column[row >= 0]
