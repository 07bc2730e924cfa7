"""Cells of a simulated section: where they lie and of which type they are."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int64

from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.simulator.lattice import Lattice

TYPES = ("lymphocyte", "fibroblast", "epithelial", "plasma", "macrophage", "muscle")
DENSITY = (0.45, 0.7, 0.95)  # share of places taken, by the level of `shared_region`


@dataclass(frozen=True)
class Cells:
    """Cells of a section, those in the margin around the units included.

    Attributes
    ----------
    position
        x and y in micrometres from the image's top left corner.
    unit
        The unit that each lies in; in the margin, the nearest one.
    kind
        Index of the cell's type in `TYPES`.
    inside
        Whether the cell lies in the unit itself.
    """

    position: Float64[np.ndarray, "cells 2"]
    unit: Int64[np.ndarray, " cells"]
    kind: Int64[np.ndarray, " cells"]
    inside: Bool[np.ndarray, " cells"]


def place(
    config: SimulatorConfig, lattice: Lattice, latent: pd.DataFrame, rng: np.random.Generator
) -> Cells:
    """Put cells on a jittered hexagonal grid, their types drawn from each unit's own mixture.

    The mixture is a Dirichlet draw around the unit's dominant type, `config.purity` its mean
    share; `shared_region` sets how many of about `config.cells` places a unit are taken.
    """
    position = _grid(lattice.extent, config.pitch_um / np.sqrt(config.cells), rng)
    unit = lattice.nearest(position)
    share = np.asarray(DENSITY)[latent["shared_region"]]
    taken = rng.random(len(unit)) < share[unit]
    position, unit = position[taken], unit[taken]
    mixture = _mixture(latent["shared_type"].to_numpy(), config, rng)
    kind = (rng.random((len(unit), 1)) > mixture.cumsum(axis=1)[unit][:, :-1]).sum(axis=1)
    return Cells(position, unit, kind.astype(np.int64), lattice.inside(position, unit))


def tally(cells: Cells, units: int, kinds: int) -> Int64[np.ndarray, "obs kinds"]:
    """Count the cells of each type inside each unit."""
    code = cells.unit[cells.inside] * kinds + cells.kind[cells.inside]
    return np.bincount(code, minlength=units * kinds).reshape(units, kinds)


def _grid(
    extent: Float64[np.ndarray, " 2"], spacing: float, rng: np.random.Generator
) -> Float64[np.ndarray, "points 2"]:
    across, down = np.meshgrid(
        np.arange(0, extent[0], spacing), np.arange(0, extent[1], spacing), indexing="xy"
    )
    across[1::2] += spacing / 2
    points = np.stack([across.ravel(), down.ravel()], axis=1)
    points += rng.uniform(-0.3, 0.3, points.shape) * spacing
    return np.asarray(points[((points >= 0) & (points < extent)).all(axis=1)])


def _mixture(
    dominant: Int64[np.ndarray, " obs"], config: SimulatorConfig, rng: np.random.Generator
) -> Float64[np.ndarray, "obs kinds"]:
    kinds = config.cell_types
    mean = np.full((len(dominant), kinds), (1 - config.purity) / (kinds - 1))
    mean[np.arange(len(dominant)), dominant] = config.purity
    gamma = rng.gamma(config.concentration * mean)
    return np.asarray(gamma / gamma.sum(axis=1, keepdims=True))
