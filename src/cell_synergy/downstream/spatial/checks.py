"""Coordinates and sections that neighbours can be read from, or a clear refusal."""

import anndata as ad
import numpy as np

from cell_synergy.core.errors import DataError
from cell_synergy.downstream.spatial.neighbours import nearest

_CLOSEST, _WIDEST = 0.04, 2.5  # spacing that units of size one can have: dense cells, sparse spots


def check(units: ad.AnnData, unit_um: float) -> None:
    """Refuse units whose neighbours would be wrong.

    Parameters
    ----------
    units
        With `obs["section"]` and `obsm["spatial"]`.
    unit_um
        Size of a unit, in micrometres: its nearest neighbour is about as far away.

    Raises
    ------
    DataError
        If a section has one unit, two of its units lie in the same place, or its spacing cannot be
        in micrometres.
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
        places, first, of = np.unique(
            units.obsm["spatial"][own], axis=0, return_index=True, return_inverse=True
        )
        if len(copies := np.flatnonzero(first[of] != np.arange(len(own)))):
            pair = units.obs_names[own[[first[of[copies[0]]], copies[0]]]]
            raise DataError(
                f"{where}: {len(copies)} units lie where another one does, first {pair[1]!r} at "
                f"the place of {pair[0]!r}; drop copies, or name sections apart"
            )
        spacing = float(np.median(nearest(places, 1)[0]))
        if not _CLOSEST <= spacing / unit_um <= _WIDEST:
            raise DataError(
                f"{where}: units of {unit_um:g} um lie {spacing:.4g} apart (median), which cannot "
                "be micrometres; multiply pixels by the image's micrometres per pixel, or correct "
                "the size of a unit"
            )
