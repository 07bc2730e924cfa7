"""Counts of the cells inside observations (patches), stacked over sections."""

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32, Int64
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.raw.sections.section import Section

CellCounts = tuple[sparse.csr_matrix, Int64[np.ndarray, " cells"]]
"""Counts, cells x genes, and the row of the observation of each cell, in ascending order."""


def cells_of(section: Section, obs_names: pd.Index) -> CellCounts | None:
    """Return the cells of selected observations of a section; None if the section has no cells.

    Parameters
    ----------
    section
        The section.
    obs_names
        Names of the selected observations.

    Returns
    -------
    Raw counts, cells x genes (CSR, float32), and for each cell the index in `obs_names` of its
    observation; cells are in ascending order of this index.

    Raises
    ------
    DataError
        If cells and observations have different genes.
    """
    if section.cells is None:
        return None
    if not section.cells.var_names.equals(section.adata.var_names):
        raise DataError(
            f"section {section.name}: cells and observations have different genes; give both the "
            "same"
        )
    row = obs_names.get_indexer(section.cells.obs["unit"])
    order = np.argsort(row, kind="stable")[int((row < 0).sum()) :]
    return sparse.csr_matrix(section.cells.X, dtype=np.float32)[order], row[order].astype(np.int64)


def stack_cells(
    sections: list[ad.AnnData], cells: list[CellCounts | None], genes: pd.Index
) -> dict[str, object] | None:
    """Stack the cells of several sections in the order of the sections' observations.

    Parameters
    ----------
    sections
        Raw counts of each section, observations x genes.
    cells
        Cells of each section, as `cells_of` returns them; None for a section without cells, whose
        observations count as one cell each.
    genes
        Genes of the stacked counts.

    Returns
    -------
    :
        The value of `uns["cells"]`: `counts` (cells x genes) and `unit` (row of each cell's
        observation in the stacked sections); None if no section has cells.
    """
    if all(section_cells is None for section_cells in cells):
        return None
    counts, rows, offset = [], [], 0
    for adata, section_cells in zip(sections, cells, strict=True):
        x, row = section_cells or (sparse.csr_matrix(adata.X), np.arange(adata.n_obs))
        counts.append(reindex_genes(x, adata.var_names, genes))
        rows.append(row + offset)
        offset += adata.n_obs
    return {
        "counts": sparse.csr_matrix(sparse.vstack(counts), dtype=np.float32),
        "unit": np.concatenate(rows).astype(np.int64),
    }


def reindex_genes(
    counts: Float32[sparse.csr_matrix, "obs measured"], measured: pd.Index, genes: pd.Index
) -> Float32[sparse.csr_matrix, "obs genes"]:
    """Return counts with one column per gene of `genes`, zero for genes that were not measured.

    Parameters
    ----------
    counts
        Observations or cells x measured genes.
    measured
        Names of the columns of `counts`, all of them in `genes`.
    genes
        Names of the columns of the result.
    """
    column = pd.Series(np.arange(len(genes)), index=genes)[measured].to_numpy()
    reindexed = sparse.csr_matrix(
        (counts.data, column[counts.indices], counts.indptr), shape=(counts.shape[0], len(genes))
    )
    reindexed.sort_indices()
    return reindexed
