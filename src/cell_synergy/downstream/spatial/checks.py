"""Checks that neighbours can be computed from coordinates and sections."""

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64

from cell_synergy.core.errors import DataError
from cell_synergy.data.spacing import SPACING_MAX, SPACING_MIN, regular_spacing
from cell_synergy.downstream.spatial.graph import nearest_neighbours

# Minimal median spacing of observations off a lattice, in units of their size: of cells, and of
# images centred on cells, each of which may show hundreds of other cells.
_MIN_CELL_SPACING, _MIN_VIEW_SPACING = 0.2, 0.04
_LARGEST_CELL = 30.0  # micrometres
_MAX_COORD = 1e8  # micrometres: a hundred metres, more than any frame of a microscope


def check(adata: ad.AnnData, unit_um: float, *, views: bool) -> None:
    """Check that neighbours can be computed from the coordinates and sections of observations.

    Parameters
    ----------
    adata
        Observations with `obs["section"]`, `obsm["spatial"]` in micrometres, and the name of the
        data set in `uns["source"]`, for messages.
    unit_um
        Size of an observation (patch, spot or cell) in micrometres. The median distance to the
        nearest neighbour has to be of about this size.
    views
        Whether `unit_um` may be the size of overlapping images centred on cells, so that distances
        may be far smaller.

    Raises
    ------
    DataError
        If a section has one observation, two of its observations have the same coordinates, or its
        coordinates or spacing cannot be in micrometres.
    """
    sections, source = adata.obs["section"].astype(str).to_numpy(), str(adata.uns["source"])
    for name in np.unique(sections):
        rows = np.flatnonzero(sections == name)
        where = f"{source}: section {name!r}"
        if len(rows) == 1:
            raise DataError(
                f"{where} has one observation, {adata.obs_names[rows[0]]!r}, which has no "
                "neighbours; drop it, or correct its section"
            )
        coords = np.asarray(adata.obsm["spatial"][rows], dtype=np.float64)
        _refuse_duplicates(coords, adata.obs_names[rows], where)
        if (largest := float(np.abs(coords).max())) > _MAX_COORD:
            raise DataError(
                f"{where}: an observation lies {largest:.3g} um from the origin, which no tissue "
                "does; correct obsm['spatial'], or the micrometres per pixel"
            )
        distance = nearest_neighbours(coords, 1)[0][:, 0]
        spacing = float(np.median(distance))
        if not _min_spacing(distance, unit_um, views=views) <= spacing / unit_um <= SPACING_MAX:
            raise DataError(
                f"{where}: observations of {unit_um:g} um lie {spacing:.4g} apart (median), which "
                "cannot be micrometres; multiply pixels by the image's micrometres per pixel, or "
                "correct the size of an observation"
            )


def _refuse_duplicates(
    coords: Float64[np.ndarray, "obs 2"], obs_names: pd.Index, where: str
) -> None:
    """Refuse two observations with equal coordinates."""
    _, first, inverse = np.unique(coords, axis=0, return_index=True, return_inverse=True)
    if len(duplicates := np.flatnonzero(first[inverse] != np.arange(len(coords)))):
        original, duplicate = obs_names[[first[inverse[duplicates[0]]], duplicates[0]]]
        raise DataError(
            f"{where}: {len(duplicates)} observations have the coordinates of another one, first "
            f"{duplicate!r} those of {original!r}; drop copies, or name their sections differently"
        )


def _min_spacing(distance: Float64[np.ndarray, " obs"], unit_um: float, *, views: bool) -> float:
    """Return the minimal median spacing in units of an observation's size."""
    if regular_spacing(distance) is not None:
        return SPACING_MIN
    if views:
        return _MIN_VIEW_SPACING
    return _MIN_CELL_SPACING if unit_um <= _LARGEST_CELL else SPACING_MIN / 2
