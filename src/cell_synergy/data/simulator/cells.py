"""Cells of a simulated section: where they lie and of which type they are."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int64

from cell_synergy.data.simulator.settings import Simulator

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


def nearest(
    position: Float64[np.ndarray, "points 2"], config: Simulator, shape: tuple[int, int]
) -> Int64[np.ndarray, " points"]:
    """Return the unit that holds each point (micrometres), or the nearest one."""
    column, row = ((position - config.margin_um) // config.pitch_um).astype(np.int64).T
    return np.asarray(row.clip(0, shape[0] - 1) * shape[1] + column.clip(0, shape[1] - 1))


def place(
    config: Simulator, shape: tuple[int, int], latent: pd.DataFrame, rng: np.random.Generator
) -> Cells:
    """Put cells on a jittered hexagonal grid, their types drawn from each unit's own mixture.

    The mixture is a Dirichlet draw around the unit's dominant type, `config.purity` its mean
    share; `shared_region` sets how many of about `config.cells` places a unit are taken.
    """
    extent = np.array(shape[::-1]) * config.pitch_um + 2 * config.margin_um
    position = _grid(extent, config.pitch_um / np.sqrt(config.cells), rng)
    unit = nearest(position, config, shape)
    share = np.asarray(DENSITY)[latent["shared_region"]]
    taken = rng.random(len(unit)) < share[unit]
    position, unit = position[taken], unit[taken]
    mixture = _mixture(latent["shared_type"].to_numpy(), config, rng)
    kind = (rng.random((len(unit), 1)) > mixture.cumsum(axis=1)[unit][:, :-1]).sum(axis=1)
    low = config.margin_um
    inside = ((position >= low) & (position < extent - low)).all(axis=1)
    return Cells(position, unit, kind.astype(np.int64), inside)


def composition(cells: Cells, units: int, kinds: int) -> Float64[np.ndarray, "units kinds"]:
    """Return the share of each type among the cells inside each unit."""
    code = cells.unit[cells.inside] * kinds + cells.kind[cells.inside]
    count = np.bincount(code, minlength=units * kinds).reshape(units, kinds).astype(np.float64)
    return np.asarray(count / count.sum(axis=1, keepdims=True))


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
    dominant: Int64[np.ndarray, " units"], config: Simulator, rng: np.random.Generator
) -> Float64[np.ndarray, "units kinds"]:
    kinds = config.cell_types
    mean = np.full((len(dominant), kinds), (1 - config.purity) / (kinds - 1))
    mean[np.arange(len(dominant)), dominant] = config.purity
    gamma = rng.gamma(config.concentration * mean)
    return np.asarray(gamma / gamma.sum(axis=1, keepdims=True))
