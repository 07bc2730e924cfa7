"""Coordinates of observations in the frame of their section's image.

Observations outside the image are dropped and counted, by one rule for every reader. The share
`pairs.outside` of the spots, or of the observations of an `.h5ad`, may be outside, and half of the
cells, because a scan of the stained slide may show only a part of the tissue that the instrument
imaged. If more are outside, coordinates and image are not in one frame.
"""

from dataclasses import dataclass
from typing import Literal

import anndata as ad
import numpy as np
from jaxtyping import Bool, Float64
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.data import obsm

Kind = Literal["spots", "cells", "observations"]
_MAX_OUTSIDE = 0.5  # share of any kind above which the frames differ
_TOLERANCE_PX = 1e-3  # rounding error of converting coordinates to micrometres and back


@dataclass(frozen=True)
class ImageCoverage:
    """Number of a section's observations inside and outside its image.

    Attributes
    ----------
    kind
        Kind of the observations.
    n_measured, n_outside
        Number of observations in the file, and of those that were dropped as outside the image.
    example
        Size of the image and the coordinates of one observation outside it, for messages.
    cause
        Likely cause of observations outside, for messages.
    flipped
        Whether swapping or mirroring the axes would bring all observations inside.
    """

    kind: Kind
    n_measured: int
    n_outside: int
    example: str
    cause: str
    flipped: bool = False

    def require(self, max_outside: float, where: str) -> None:
        """Refuse a section if too large a share of its observations is outside its image.

        Parameters
        ----------
        max_outside
            Largest allowed share outside; a value above one half counts as one half. Of cells, one
            half is allowed whatever the value, unless `flipped`.
        where
            File and section, for messages.

        Raises
        ------
        DataError
            If a larger share than is allowed lies outside.
        """
        limit, note = min(max_outside, _MAX_OUTSIDE), ""
        if self.kind == "cells" and not self.flipped:
            limit = _MAX_OUTSIDE
        if not self.flipped:
            note = "; of cells half may"
        if self.n_outside > limit * self.n_measured:
            raise DataError(
                f"{where}: {self.n_outside} of {self.n_measured} {self.kind} lie outside the image "
                f"{self.example}, more than {limit:.0%} (pairs.outside{note}); {self.cause}"
            )


def drop_outside_image(
    adata: ad.AnnData, mpp: float, image_size: tuple[int, int], kind: Kind, where: str
) -> tuple[ad.AnnData, ImageCoverage]:
    """Drop and count the observations outside the image.

    Parameters
    ----------
    adata
        Observations with `obsm["spatial"]` in micrometres from the image's top left corner.
    mpp, image_size
        Micrometres per pixel, and width and height of the image in pixels.
    kind
        Kind of the observations, for messages.
    where
        File and section, for messages.

    Returns
    -------
    :
        The observations inside the image, and the number measured and outside.

    Raises
    ------
    DataError
        If the coordinates are not two columns of finite numbers, or more than half of the
        observations are outside.
    """
    pixels = spatial_coords(adata, where) / mpp
    inside = _inside(pixels, image_size)
    n_outside = int((~inside).sum())
    x, y = pixels[int(np.flatnonzero(~inside)[0])] if n_outside else (0, 0)
    example = f"of {image_size[0]} x {image_size[1]} pixels (e.g. at {x:.6g}, {y:.6g})"
    cause, flipped = _likely_cause(pixels, image_size)
    coverage = ImageCoverage(kind, adata.n_obs, n_outside, example, cause, flipped)
    coverage.require(_MAX_OUTSIDE, where)
    if not n_outside:
        return adata, coverage
    tqdm.write(f"{where}: {n_outside} of {adata.n_obs} {kind} lie outside the image, dropped")
    return adata[inside].copy(), coverage


def spatial_coords(adata: ad.AnnData, where: str) -> Float64[np.ndarray, "obs 2"]:
    """Return the coordinates x and y of all observations, in the unit of `obsm["spatial"]`.

    Parameters
    ----------
    adata
        Observations with `obsm["spatial"]`.
    where
        File and section, for messages.

    Raises
    ------
    DataError
        If the coordinates are not two columns of finite numbers.
    """
    return obsm.as_coords(adata.obsm["spatial"], adata.obs_names, f"{where}: obsm['spatial']")


def _inside(
    pixels: Float64[np.ndarray, "obs 2"], image_size: tuple[int, int]
) -> Bool[np.ndarray, " obs"]:
    upper = np.array(image_size) + _TOLERANCE_PX
    return np.asarray(((pixels >= -_TOLERANCE_PX) & (pixels <= upper)).all(axis=1))


def _likely_cause(
    pixels: Float64[np.ndarray, "obs 2"], image_size: tuple[int, int]
) -> tuple[str, bool]:
    """Return the likely cause of observations outside, and whether the axes are flipped."""
    changes = {
        "x and y swapped": (pixels[:, ::-1], "swap the two columns of coordinates"),
        "y turned upside down": (pixels * [1, -1], "count y downwards from the image's top"),
        "x mirrored": (pixels * [-1, 1], "count x to the right from the image's left border"),
    }
    for change, (changed, remedy) in changes.items():
        if _inside(changed, image_size).all():
            return f"with {change} all would lie inside: {remedy}", True
    unknown = (
        "counts and image are not of one section, the image or its alignment has another scale, "
        "or the coordinates are not pixels of this image"
    )
    return unknown, False
