"""Patches: non-overlapping squares of a grid, with the spots or cells inside them.

The grid begins at the top left corner of the image, or at an offset from it, and has only squares
that are completely inside the image. A patch has the summed counts of its spots or cells, their
most frequent label (among equally frequent ones the first by name), and their cell-type
proportions.
"""

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Int64
from scipy import sparse

from cell_synergy.core.errors import DataError


def gather_patches(
    adata: ad.AnnData,
    side_um: float,
    size_um: tuple[float, float],
    origin_um: float,
    least: int,
    cell_type: str | None,
    where: str,
) -> tuple[ad.AnnData, ad.AnnData]:
    """Gather spots or cells into patches, and drop those outside of the patches.

    Parameters
    ----------
    adata
        Counts, labels, and coordinates (micrometres from the image's top left corner).
    side_um, size_um, origin_um
        Side of a patch, width and height of the image, and offset of the first patch from the left
        and top border of the image, in micrometres.
    least, cell_type
        Minimum number of spots or cells in a patch, below which it is dropped; label column whose
        proportions are the composition, None without a composition.
    where
        File and section, for messages.

    Returns
    -------
    The patches row by row, named `<column>x<row>` of the grid, with `obsm["spatial"]` (centres, in
    micrometres) and, given `cell_type`, `obsm["cell_type_ratio"]`; and the counts of the spots or
    cells inside these patches, with the name of the patch in `obs["unit"]`.

    Raises
    ------
    DataError
        If no patch has `least` spots or cells.
    """
    n_columns, n_rows = (int((length - origin_um) // side_um) for length in size_um)
    grid = np.floor((np.asarray(adata.obsm["spatial"]) - origin_um) / side_um).astype(np.int64)
    inside = ((grid >= 0) & (grid < [n_columns, n_rows])).all(axis=1)
    code = np.where(inside, grid[:, 1] * n_columns + grid[:, 0], -1)
    patch_codes, sizes = np.unique(code[inside], return_counts=True)
    patch_codes = patch_codes[sizes >= least]
    if len(patch_codes) == 0:
        raise DataError(
            f"{where}: no patch of {side_um:g} um holds {least} of the {adata.n_obs} spots or "
            "cells; lower reader.least or raise unit_um"
        )
    rows = np.flatnonzero(np.isin(code, patch_codes))
    patch = np.searchsorted(patch_codes, code[rows])
    column, row = patch_codes % n_columns, patch_codes // n_columns
    names = pd.Index([f"{x}x{y}" for x, y in zip(column, row, strict=True)])
    members = adata[rows]
    patches = ad.AnnData(
        _sum_counts(sparse.csr_matrix(members.X), patch, len(patch_codes)),
        obs=_majority_labels(members.obs, patch, names),
        var=pd.DataFrame(index=adata.var_names),
        obsm={"spatial": origin_um + (np.column_stack([column, row]) + 0.5) * side_um},
    )
    if cell_type is not None:
        patches.obsm["cell_type_ratio"] = _composition(members.obs[cell_type], patch, names)
    return patches, _with_patch_names(members, names[patch])


def _with_patch_names(members: ad.AnnData, names: pd.Index) -> ad.AnnData:
    """Return the counts of spots or cells, with the name of their patch in `obs["unit"]`."""
    return ad.AnnData(
        sparse.csr_matrix(members.X),
        obs=pd.DataFrame({"unit": names}, index=members.obs_names),
        var=pd.DataFrame(index=members.var_names),
    )


def _sum_counts(
    counts: sparse.csr_matrix, patch: Int64[np.ndarray, " cells"], n_patches: int
) -> sparse.csr_matrix:
    """Return the summed counts of the cells of each patch."""
    ones = np.ones(len(patch), dtype=np.float32)
    shape = (n_patches, len(patch))
    membership = sparse.csr_matrix((ones, (patch, np.arange(len(patch)))), shape=shape)
    return sparse.csr_matrix(membership @ counts)


def _majority_labels(
    labels: pd.DataFrame, patch: Int64[np.ndarray, " cells"], names: pd.Index
) -> pd.DataFrame:
    """Return the most frequent label of each patch and column; None if no label is given."""
    majority = pd.DataFrame(index=names)
    for column in labels:
        votes = pd.crosstab(names[patch], labels[column].to_numpy())
        winner = votes.idxmax(axis=1) if votes.size else pd.Series(dtype=object)
        reindexed = winner.reindex(names).astype(object)
        majority[column] = reindexed.where(lambda label: label.notna(), None)
    return majority


def _composition(
    types: pd.Series, patch: Int64[np.ndarray, " cells"], names: pd.Index
) -> pd.DataFrame:
    """Return the proportions of cell types in each patch; NaN where no cell has a type."""
    shares = pd.crosstab(names[patch], types.to_numpy(), normalize="index")
    shares.columns = shares.columns.astype(str)
    return shares.rename_axis(index=None, columns=None).reindex(names)
