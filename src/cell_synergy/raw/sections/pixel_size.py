"""Consistency of the micrometres per pixel with the distance between neighbouring spots."""

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from cell_synergy.core.errors import DataError
from cell_synergy.data.spacing import SPACING_MAX, SPACING_MIN, regular_spacing

_MIN_SPOTS = 20  # minimum number of spots for which the spacing is checked
_N_SAMPLED = 2000  # spots whose nearest-neighbour distance is measured
_PITCH_TOLERANCE = 0.1  # relative deviation from the platform's pitch


def check_pitch(
    coords_um: Float[np.ndarray, "obs 2"],
    unit_um: float,
    where: str,
    pitch_um: float | None = None,
) -> None:
    """Refuse coordinates in micrometres that contradict the spacing of a regular array of spots.

    Fewer than 20 finite centres are not checked, nor are irregular ones, such as cells: those whose
    nearest-neighbour distances have an interquartile range above a quarter of their median.

    Parameters
    ----------
    coords_um
        Centres of the observations, converted to micrometres with the micrometres per pixel under
        test.
    unit_um
        Size of a spot or bin, in micrometres; not used if `pitch_um` is given.
    where
        File and section, for messages.
    pitch_um
        Distance between neighbours on a platform with a fixed pitch, in micrometres; None for other
        platforms, whose spacing must be 0.75 to 2.5 times `unit_um`.

    Raises
    ------
    DataError
        If the median distance of nearest neighbours deviates from `pitch_um` by more than 10 % or,
        without `pitch_um`, is not 0.75 to 2.5 times `unit_um`.
    """
    if (measured := array_spacing(coords_um)) is None:
        return
    if pitch_um is not None:
        if abs(measured / pitch_um - 1) > _PITCH_TOLERANCE:
            raise DataError(
                f"{where}: neighbouring spots lie {measured:.4g} um apart, on this platform they "
                f"are {pitch_um:g} um apart; the micrometres per pixel are of another scale of the "
                "image, or of another section"
            )
    elif not SPACING_MIN <= measured / unit_um <= SPACING_MAX:
        raise DataError(
            f"{where}: neighbouring spots lie {measured:.4g} um apart, which those of unit_um "
            f"{unit_um:g} cannot; the micrometres per pixel are of another scale of the image, or "
            "unit_um is not the size of a spot"
        )


def array_spacing(coords_um: Float[np.ndarray, "obs 2"]) -> float | None:
    """Return the median distance of nearest neighbours in a regular array of spots.

    Parameters
    ----------
    coords_um
        Centres of spots or cells in micrometres; rows that are not finite are left out.

    Returns
    -------
    Micrometres; None for fewer than 20 centres, and for an irregular arrangement, such as of cells.
    """
    coords = coords_um[np.isfinite(coords_um).all(axis=1)]
    if len(coords) < _MIN_SPOTS:
        return None
    sampled = coords[np.unique(np.linspace(0, len(coords) - 1, _N_SAMPLED).astype(int))]
    distances = np.asarray(cKDTree(coords).query(sampled, k=2)[0])[:, 1]
    return regular_spacing(distances)
