"""Positions and types of the cells of a simulated section."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int64

from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.simulator.lattice import Lattice

TYPES = ("lymphocyte", "fibroblast", "epithelial", "plasma", "macrophage", "muscle")
DENSITY = (0.45, 0.7, 0.95)  # share of occupied grid points at each level of `shared_region`


@dataclass(frozen=True)
class Cells:
    """Cells of a section, including those in the margin around the observations.

    Attributes
    ----------
    coords
        X and y in micrometres from the top left corner of the image.
    obs_index
        Observation that contains each cell; in the margin, the nearest observation.
    cell_type
        Index of the cell's type in `TYPES`.
    inside
        Whether the cell is inside of its observation.
    """

    coords: Float64[np.ndarray, "cells 2"]
    obs_index: Int64[np.ndarray, " cells"]
    cell_type: Int64[np.ndarray, " cells"]
    inside: Bool[np.ndarray, " cells"]


def sample(
    config: SimulatorConfig, lattice: Lattice, latent: pd.DataFrame, rng: np.random.Generator
) -> Cells:
    """Draw cells on a jittered hexagonal grid, with a mixture of types in each observation.

    The mixture has a Dirichlet distribution, with mean `config.purity` for the observation's
    dominant type (`shared_type`) and equal means for the others. An observation has `config.cells`
    grid points on average, of which the share `DENSITY[shared_region]` is occupied.

    Parameters
    ----------
    config, lattice
        Configuration of the data set, and the observations of the section.
    latent
        Latent states, observations x states: `shared_type` and `shared_region` are used.
    rng
        Random stream of the donor's cells.
    """
    coords = _jittered_grid(lattice.extent, config.pitch_um / np.sqrt(config.cells), rng)
    obs_index = lattice.nearest(coords)
    density = np.asarray(DENSITY)[latent["shared_region"]]
    occupied = rng.random(len(obs_index)) < density[obs_index]
    coords, obs_index = coords[occupied], obs_index[occupied]
    mixture = _sample_mixture(latent["shared_type"].to_numpy(), config, rng)
    thresholds = mixture.cumsum(axis=1)[obs_index][:, :-1]
    cell_type = (rng.random((len(obs_index), 1)) > thresholds).sum(axis=1)
    inside = lattice.inside(coords, obs_index)
    return Cells(coords, obs_index, cell_type.astype(np.int64), inside)


def count_types(cells: Cells, n_obs: int, n_types: int) -> Int64[np.ndarray, "obs types"]:
    """Count the cells of each type inside each observation.

    Parameters
    ----------
    cells
        Cells of the section; those in the margin are not counted.
    n_obs, n_types
        Numbers of observations and of cell types; columns are in the order of `TYPES`.
    """
    code = cells.obs_index[cells.inside] * n_types + cells.cell_type[cells.inside]
    return np.bincount(code, minlength=n_obs * n_types).reshape(n_obs, n_types)


def _jittered_grid(
    extent: Float64[np.ndarray, " 2"], spacing: float, rng: np.random.Generator
) -> Float64[np.ndarray, "points 2"]:
    x, y = np.meshgrid(
        np.arange(0, extent[0], spacing), np.arange(0, extent[1], spacing), indexing="xy"
    )
    x[1::2] += spacing / 2
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    points += rng.uniform(-0.3, 0.3, points.shape) * spacing
    return np.asarray(points[((points >= 0) & (points < extent)).all(axis=1)])


def _sample_mixture(
    dominant: Int64[np.ndarray, " obs"], config: SimulatorConfig, rng: np.random.Generator
) -> Float64[np.ndarray, "obs types"]:
    n_types = config.cell_types
    mean = np.full((len(dominant), n_types), (1 - config.purity) / (n_types - 1))
    mean[np.arange(len(dominant)), dominant] = config.purity
    gamma = rng.gamma(config.concentration * mean)
    return np.asarray(gamma / gamma.sum(axis=1, keepdims=True))
