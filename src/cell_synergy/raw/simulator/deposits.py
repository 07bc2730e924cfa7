"""Deposits in simulated tissue, visible in the image only: the latent state `image_deposits`."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float32

from cell_synergy.raw.simulator import shapes
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.simulator.lattice import Lattice


class Deposits(NamedTuple):
    """Deposits of a section, on the pixels of its image with a border.

    Attributes
    ----------
    absorbance
        Absorbance (natural logarithm) that pigment and mineral add in red, green and blue.
    tissue
        Share of each pixel that is tissue, not the cleft of a dissolved crystal.
    """

    absorbance: Float32[np.ndarray, "height width 3"]
    tissue: Float32[np.ndarray, "height width"]


class _Appearance(NamedTuple):
    """Appearance of the deposits of a level.

    Attributes
    ----------
    length, width
        Semi-axes, in micrometres.
    absorbance
        Absorbance in red, green and blue; None for a cleft, which has neither tissue nor pigment.
    """

    length: float
    width: float
    absorbance: tuple[float, float, float] | None


_APPEARANCES = (  # by level of `image_deposits`
    _Appearance(2.6, 2.4, (2.0, 2.0, 1.9)),  # carbon: black
    _Appearance(4.4, 3.4, (0.25, 0.7, 1.9)),  # haemosiderin: golden brown
    _Appearance(5.0, 4.2, (1.5, 1.4, 0.45)),  # calcium: blue
    _Appearance(9.0, 1.5, None),  # cholesterol: clefts, since processing dissolves the crystals
)


def draw(
    config: SimulatorConfig,
    lattice: Lattice,
    latent: pd.DataFrame,
    size: tuple[int, int],
    border: int,
    rng: np.random.Generator,
) -> Deposits:
    """Draw deposits at uniform positions, of the kind that is the level of their observation.

    Parameters
    ----------
    config, lattice
        Configuration of the data set, with the mean number of deposits in an observation, and the
        observations of the section.
    latent
        Latent states, observations x states; `image_deposits` alone is used.
    size
        Height and width of the image with its border, in pixels.
    border
        Width of the border, in pixels; it must have room for half of the longest deposit.
    rng
        Random stream of the donor's image.
    """
    area = lattice.extent.prod() / (lattice.pitch * lattice.row_pitch)
    coords = rng.uniform(0, lattice.extent, (round(config.deposits * area), 2))
    angle = rng.uniform(0, np.pi, len(coords)).astype(np.float32)
    scale = rng.uniform(0.8, 1.2, len(coords)).astype(np.float32) / np.float32(config.mpp)
    level = latent["image_deposits"].to_numpy()[lattice.nearest(coords)]
    cover = np.zeros((len(_APPEARANCES), size[0] * size[1]), dtype=np.float32)
    for kind, appearance in enumerate(_APPEARANCES):
        rows = level == kind
        reach = int(np.ceil(1.2 * appearance.length / config.mpp))
        centre = coords[rows] / config.mpp + border
        pixel, dx, dy = shapes.surroundings(centre, reach, size[1])
        length, width = appearance.length * scale[rows], appearance.width * scale[rows]
        _, covered = shapes.ellipse(dx, dy, angle[rows], length, width)
        np.maximum.at(cover[kind], pixel, covered.ravel())
    absorbance = np.zeros((*size, 3), dtype=np.float32)
    tissue = np.ones(size, dtype=np.float32)
    for appearance, covered in zip(_APPEARANCES, cover.reshape(-1, *size), strict=True):
        if appearance.absorbance is None:
            tissue -= covered
        else:
            absorbance += covered[..., None] * np.array(appearance.absorbance, dtype=np.float32)
    return Deposits(absorbance, tissue)
