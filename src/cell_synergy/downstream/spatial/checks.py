"""Coordinates and sections that neighbours can be read from, or a clear refusal."""

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64

from cell_synergy.core.errors import DataError
from cell_synergy.data.spacing import CLOSEST, WIDEST, of_array
from cell_synergy.downstream.spatial.graph import nearest

# Spacing that cells of size one can have: they lie anywhere, and where a unit is what the image
# shows around a cell, hundreds fill one.
_OF_CELLS, _OF_VIEWS = 0.2, 0.04
_LARGEST_CELL, _FARTHEST = 30.0, 1e8  # micrometres; a hundred metres, were it a stage's frame


def check(units: ad.AnnData, unit_um: float, *, views: bool) -> None:
    """Refuse units whose neighbours would be wrong.

    Parameters
    ----------
    units
        With `obs["section"]` and `obsm["spatial"]`.
    unit_um
        Size of a unit, in micrometres: its nearest neighbour is about as far away.
    views
        Whether units may be cells whose size is that of the image around them.

    Raises
    ------
    DataError
        If a section has one unit, two of its units lie in the same place, or its places or spacing
        cannot be in micrometres.
    """
    sections, source = units.obs["section"].astype(str).to_numpy(), str(units.uns["source"])
    for name in np.unique(sections):
        own = np.flatnonzero(sections == name)
        where = f"{source}: section {name!r}"
        if len(own) == 1:
            raise DataError(
                f"{where} has one unit, {units.obs_names[own[0]]!r}, which has no neighbours; drop "
                "it, or name its true section"
            )
        places = np.asarray(units.obsm["spatial"][own], dtype=np.float64)
        _refuse_copies(places, units.obs_names[own], where)
        if (reach := float(np.abs(places).max())) > _FARTHEST:
            raise DataError(
                f"{where}: a unit lies {reach:.3g} um from the origin, which is no place; correct "
                "obsm['spatial'], or the micrometres per pixel"
            )
        apart = nearest(places, 1)[0][:, 0]
        spacing = float(np.median(apart))
        if not _closest(apart, unit_um, views=views) <= spacing / unit_um <= WIDEST:
            raise DataError(
                f"{where}: units of {unit_um:g} um lie {spacing:.4g} apart (median), which cannot "
                "be micrometres; multiply pixels by the image's micrometres per pixel, or correct "
                "the size of a unit"
            )


def _refuse_copies(places: Float64[np.ndarray, "obs 2"], names: pd.Index, where: str) -> None:
    """Refuse units that lie where another one does."""
    _, first, of = np.unique(places, axis=0, return_index=True, return_inverse=True)
    if len(copies := np.flatnonzero(first[of] != np.arange(len(places)))):
        pair = names[[first[of[copies[0]]], copies[0]]]
        raise DataError(
            f"{where}: {len(copies)} units lie where another one does, first {pair[1]!r} at the "
            f"place of {pair[0]!r}; drop copies, or name sections apart"
        )


def _closest(apart: Float64[np.ndarray, " obs"], unit_um: float, *, views: bool) -> float:
    """Return how close units can lie, as a share of their size, by how regularly they lie."""
    if of_array(apart) is not None:
        return CLOSEST
    if views:
        return _OF_VIEWS
    return _OF_CELLS if unit_um <= _LARGEST_CELL else CLOSEST / 2
