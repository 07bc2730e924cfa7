"""Whether micrometres per pixel agree with what a platform fixes: the spacing of its spots."""

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from cell_synergy.core.errors import DataError
from cell_synergy.data.spacing import CLOSEST, WIDEST, of_array

_FEWEST = 20  # spots from which a spacing is read
_ASKED = 2000  # spots whose neighbour is looked for
_EXACT = 0.1  # by which a spacing that the platform fixes may be missed


def check_pitch(
    places_um: Float[np.ndarray, "obs 2"],
    unit_um: float,
    where: str,
    pitch_um: float | None = None,
) -> None:
    """Refuse micrometres that contradict the spacing of spots.

    Only an array is judged, whose spots are about equally far apart: cells may lie anywhere, and
    so may a few spots.

    Parameters
    ----------
    places_um
        Centres in micrometres, by the scale that is to be checked.
    unit_um
        Size of a spot or bin, in micrometres.
    where
        File and section, for messages.
    pitch_um
        Distance of neighbours where the platform fixes it; without it, `unit_um` says what is
        possible.

    Raises
    ------
    DataError
        If neighbours lie much closer or much further apart than such spots can.
    """
    if (found := spacing(places_um)) is None:
        return
    if pitch_um is not None:
        if abs(found / pitch_um - 1) > _EXACT:
            raise DataError(
                f"{where}: neighbouring spots lie {found:.4g} um apart, on this platform they are "
                f"{pitch_um:g} um apart; the micrometres per pixel are of another scale of the "
                "image, or of another section"
            )
    elif not CLOSEST <= found / unit_um <= WIDEST:
        raise DataError(
            f"{where}: neighbouring spots lie {found:.4g} um apart, which those of unit_um "
            f"{unit_um:g} cannot; the micrometres per pixel are of another scale of the image, or "
            "unit_um is not the size of a spot"
        )


def spacing(places_um: Float[np.ndarray, "obs 2"]) -> float | None:
    """Return the distance of neighbours in an array of spots; None for what is no array."""
    places = places_um[np.isfinite(places_um).all(axis=1)]
    if len(places) < _FEWEST:
        return None
    asked = places[np.unique(np.linspace(0, len(places) - 1, _ASKED).astype(int))]
    nearest = np.asarray(cKDTree(places).query(asked, k=2)[0])[:, 1]
    return of_array(nearest)
