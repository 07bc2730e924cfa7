"""The cells of units, stacked over sections as the units are."""

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32, Int64
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.raw.sections.section import Section

Cells = tuple[sparse.csr_matrix, Int64[np.ndarray, " cells"]]
"""Counts, cells x genes, and the row of each cell's unit, ascending."""


def of_units(section: Section, units: pd.Index) -> Cells | None:
    """Return the cells of the named units of a section, which are all or some of its units."""
    if section.cells is None:
        return None
    if not section.cells.var_names.equals(section.counts.var_names):
        raise DataError(f"section {section.name}: cells and units have other genes")
    row = units.get_indexer(section.cells.obs["unit"])
    order = np.argsort(row, kind="stable")[int((row < 0).sum()) :]
    return sparse.csr_matrix(section.cells.X, dtype=np.float32)[order], row[order].astype(np.int64)


def stack(
    tables: list[ad.AnnData], cells: list[Cells | None], genes: pd.Index
) -> dict[str, object] | None:
    """Stack the cells of several tables of units, or return None where none has cells.

    A unit of a table without cells is its own cell.
    """
    if all(own is None for own in cells):
        return None
    counts, rows, first = [], [], 0
    for table, own in zip(tables, cells, strict=True):
        x, row = own or (sparse.csr_matrix(table.X), np.arange(table.n_obs))
        counts.append(onto_genes(x, table.var_names, genes))
        rows.append(row + first)
        first += table.n_obs
    return {
        "counts": sparse.csr_matrix(sparse.vstack(counts), dtype=np.float32),
        "unit": np.concatenate(rows).astype(np.int64),
    }


def onto_genes(
    counts: Float32[sparse.csr_matrix, "obs own"], own: pd.Index, genes: pd.Index
) -> Float32[sparse.csr_matrix, "obs genes"]:
    """Return counts with the columns of all `genes`, of which the matrix has its own."""
    place = pd.Series(np.arange(len(genes)), index=genes)[own].to_numpy()
    wide = sparse.csr_matrix(
        (counts.data, place[counts.indices], counts.indptr), shape=(counts.shape[0], len(genes))
    )
    wide.sort_indices()
    return wide
