"""Observations that lie outside their section's image: one rule for every reader.

They are dropped and counted. Of spots (and of the units of an `.h5ad`) a small share may be, given
by `pairs.outside`; of cells up to half, because a scan of the stained slide may show a part of what
the instrument imaged. Above that, places and image are not in one frame.
"""

from dataclasses import dataclass
from typing import Literal

import anndata as ad
import numpy as np
from jaxtyping import Bool, Float64
from tqdm import tqdm

from cell_synergy.core.errors import DataError

What = Literal["spots", "cells", "units"]
MOST = 0.5  # share outside above which there is no common frame, whatever was observed
_SLACK = 1e-3  # pixels: micrometres and back do not return the exact border


@dataclass(frozen=True)
class Placed:
    """How many observations of a section lie outside its image.

    Attributes
    ----------
    what
        What was observed.
    read, outside
        How many there were, and how many of them were dropped.
    beyond, cause
        The size of the image and one that lies outside, and what may be wrong if these are too
        many, for messages.
    turned
        Whether all would lie inside with the places turned over, which tells the cause for sure.
    """

    what: What
    read: int
    outside: int
    beyond: str
    cause: str
    turned: bool = False

    def require(self, most: float, where: str) -> None:
        """Refuse a section with a larger share outside than `most`.

        Of cells half are allowed, but where turning their places over would bring all inside.
        """
        limit = MOST if self.what == "cells" and not self.turned else min(most, MOST)
        half = "" if self.turned else "; of cells half may"
        if self.outside > limit * self.read:
            raise DataError(
                f"{where}: {self.outside} of {self.read} {self.what} lie outside the image "
                f"{self.beyond}, more than {limit:.0%} (pairs.outside{half}); "
                f"{self.cause}"
            )


def keep_inside(
    table: ad.AnnData, mpp: float, size: tuple[int, int], what: What, where: str
) -> tuple[ad.AnnData, Placed]:
    """Drop what lies outside the image, and say how much that was.

    Parameters
    ----------
    table
        Counts, places in micrometres from the image's top left corner.
    mpp, size
        Micrometres per pixel, and width and height of the image in pixels.
    what, where
        What was observed; the section, for messages.

    Raises
    ------
    DataError
        If a place is missing, or more than half lie outside.
    """
    pixels = finite(table, where, what) / mpp
    inside = _inside(pixels, size)
    outside = int((~inside).sum())
    x, y = pixels[int(np.flatnonzero(~inside)[0])] if outside else (0, 0)
    beyond = f"of {size[0]} x {size[1]} pixels (e.g. at {x:.6g}, {y:.6g})"
    placed = Placed(what, table.n_obs, outside, beyond, *_cause(pixels, size))
    placed.require(MOST, where)
    if not outside:
        return table, placed
    tqdm.write(f"{where}: {outside} of {table.n_obs} {what} lie outside the image, dropped")
    return table[inside].copy(), placed


def finite(table: ad.AnnData, where: str, what: What = "units") -> Float64[np.ndarray, "obs 2"]:
    """Return the places of a table, two finite numbers each."""
    place = np.asarray(table.obsm["spatial"], dtype=np.float64)
    if place.shape != (table.n_obs, 2):
        raise DataError(
            f"{where}: obsm['spatial'] has shape {place.shape}; it needs two columns, x and y"
        )
    missing = ~np.isfinite(place).all(axis=1)
    if missing.any():
        name = table.obs_names[int(np.flatnonzero(missing)[0])]
        raise DataError(
            f"{where}: {int(missing.sum())} of {len(place)} {what} have no place: x or y is NaN "
            f"or infinite (e.g. {name!r}); give their places or leave them out"
        )
    return place


def _inside(
    pixels: Float64[np.ndarray, "obs 2"], size: tuple[int, int]
) -> Bool[np.ndarray, " obs"]:
    return np.asarray(((pixels >= -_SLACK) & (pixels <= np.array(size) + _SLACK)).all(axis=1))


def _cause(pixels: Float64[np.ndarray, "obs 2"], size: tuple[int, int]) -> tuple[str, bool]:
    """Say what change would bring all observations inside, or what else may be wrong."""
    changes = {
        "x and y swapped": (pixels[:, ::-1], "swap the two columns of places"),
        "y turned upside down": (pixels * [1, -1], "count y downwards from the image's top"),
        "x mirrored": (pixels * [-1, 1], "count x to the right from the image's left border"),
    }
    for change, (moved, remedy) in changes.items():
        if _inside(moved, size).all():
            return f"with {change} all would lie inside: {remedy}", True
    unknown = (
        "counts and image are not of one section, the image or its alignment has "
        "another scale, or the places are not pixels of this image"
    )
    return unknown, False
