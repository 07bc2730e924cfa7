"""Patches: squares of a grid that do not overlap, with what was measured in them.

The grid begins at the top left corner of the image, or further in; only squares that lie in the
image wholly count. A patch has the summed counts of its spots or cells, the label that most of them
have (of two that are as frequent, the first by name), and the shares of their cell types.
"""

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Int64
from scipy import sparse

from cell_synergy.core.errors import DataError


def gather(
    table: ad.AnnData,
    side_um: float,
    size_um: tuple[float, float],
    origin_um: float,
    least: int,
    cell_type: str | None,
    where: str,
) -> tuple[ad.AnnData, ad.AnnData]:
    """Gather spots or cells into patches.

    Parameters
    ----------
    table
        Counts, labels in `obs`, places in micrometres from the image's top left corner.
    side_um, size_um
        Side of a patch; width and height of the image.
    origin_um
        Where the first patch begins, in x and y.
    least
        Spots or cells under which a patch is dropped.
    cell_type
        The label whose shares are the composition.
    where
        The section, for messages.

    Returns
    -------
    The patches, and what lies in them with the name of its patch in `obs["unit"]`.
    """
    across, down = (int((length - origin_um) // side_um) for length in size_um)
    grid = np.floor((np.asarray(table.obsm["spatial"]) - origin_um) / side_um).astype(np.int64)
    inside = ((grid >= 0) & (grid < [across, down])).all(axis=1)
    code = np.where(inside, grid[:, 1] * across + grid[:, 0], -1)
    patches, count = np.unique(code[inside], return_counts=True)
    patches = patches[count >= least]
    if len(patches) == 0:
        raise DataError(
            f"{where}: no patch of {side_um:g} um holds {least} of the {table.n_obs} spots or "
            "cells; lower sections.least or raise unit_um"
        )
    rows = np.flatnonzero(np.isin(code, patches))
    unit = np.searchsorted(patches, code[rows])
    column, row = patches % across, patches // across
    names = pd.Index([f"{x}x{y}" for x, y in zip(column, row, strict=True)])
    cells = table[rows]
    counts = ad.AnnData(
        _summed(sparse.csr_matrix(cells.X), unit, len(patches)),
        obs=_majority(cells.obs, unit, names),
        var=pd.DataFrame(index=table.var_names),
        obsm={"spatial": origin_um + (np.column_stack([column, row]) + 0.5) * side_um},
    )
    if cell_type is not None:
        counts.obsm["cell_type_ratio"] = _shares(cells.obs[cell_type], unit, names)
    inner = ad.AnnData(
        sparse.csr_matrix(cells.X),
        obs=pd.DataFrame({"unit": names[unit]}, index=cells.obs_names),
        var=pd.DataFrame(index=table.var_names),
    )
    return counts, inner


def _summed(
    counts: sparse.csr_matrix, unit: Int64[np.ndarray, " cells"], units: int
) -> sparse.csr_matrix:
    ones = np.ones(len(unit), dtype=np.float32)
    onto = sparse.csr_matrix((ones, (unit, np.arange(len(unit)))), shape=(units, len(unit)))
    return sparse.csr_matrix(onto @ counts)


def _majority(
    labels: pd.DataFrame, unit: Int64[np.ndarray, " cells"], names: pd.Index
) -> pd.DataFrame:
    found = pd.DataFrame(index=names)
    for column in labels:
        votes = pd.crosstab(names[unit], labels[column].to_numpy())
        winner = votes.idxmax(axis=1) if votes.size else pd.Series(dtype=object)
        found[column] = winner.reindex(names).astype(object).where(lambda word: word.notna(), None)
    return found


def _shares(types: pd.Series, unit: Int64[np.ndarray, " cells"], names: pd.Index) -> pd.DataFrame:
    votes = pd.crosstab(names[unit], types.to_numpy(), normalize="index")
    votes.columns = votes.columns.astype(str)
    return votes.rename_axis(index=None, columns=None).reindex(names)
