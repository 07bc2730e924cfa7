"""Where the units of a simulated section lie: the squares of a grid, or the spots of an array."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Lattice:
    """Units of a section, row by row; every point of the tissue is of the nearest one.

    Attributes
    ----------
    rows, columns
        Units of the section.
    pitch
        Distance of neighbouring units, micrometres.
    margin
        Tissue around them, micrometres.
    hexagonal
        Whether every second row is moved by half a pitch, as the spots of Visium are.
    """

    rows: int
    columns: int
    pitch: float
    margin: float
    hexagonal: bool

    @property
    def units(self) -> int:
        """How many there are."""
        return self.rows * self.columns

    @property
    def row_pitch(self) -> float:
        """Distance of neighbouring rows, micrometres."""
        return self.pitch * np.sqrt(3) / 2 if self.hexagonal else self.pitch

    @property
    def extent(self) -> Float64[np.ndarray, " 2"]:
        """Width and height of the tissue with its margin, micrometres."""
        across = (self.columns + self.hexagonal / 2) * self.pitch
        return np.array([across, self.rows * self.row_pitch]) + 2 * self.margin

    @property
    def places(self) -> Int64[np.ndarray, "obs 2"]:
        """Row and column of each unit; hexagonal columns are counted in halves, as in Visium."""
        row, column = np.divmod(np.arange(self.units), self.columns)
        return np.stack([row, 2 * column + row % 2 if self.hexagonal else column], axis=1)

    @property
    def centres(self) -> Float64[np.ndarray, "obs 2"]:
        """X and y of each unit, micrometres from the tissue's top left corner."""
        row, column = self.places.T
        across = column / 2 if self.hexagonal else column
        half = [self.pitch / 2, self.row_pitch / 2]
        place = np.stack([across * self.pitch, row * self.row_pitch], axis=1)
        return np.asarray(self.margin + place + half)

    def nearest(self, points: Float64[np.ndarray, "points 2"]) -> Int64[np.ndarray, " points"]:
        """Return the unit that each point (micrometres) is of."""
        if self.hexagonal:
            return np.asarray(cKDTree(self.centres).query(points)[1], dtype=np.int64)
        column, row = ((points - self.margin) // self.pitch).astype(np.int64).T
        row, column = row.clip(0, self.rows - 1), column.clip(0, self.columns - 1)
        return np.asarray(row * self.columns + column)

    def inside(
        self, points: Float64[np.ndarray, "points 2"], unit: Int64[np.ndarray, " points"]
    ) -> Bool[np.ndarray, " points"]:
        """Say which points lie in their nearest `unit` itself: its square, or its hexagon."""
        if self.hexagonal:
            x, y = np.abs(points - self.centres[unit]).T
            return np.asarray((2 * x <= self.pitch) & (x + np.sqrt(3) * y <= self.pitch))
        low = self.margin
        return np.asarray(((points >= low) & (points < self.extent - low)).all(axis=1))

    def field(self, rng: np.random.Generator, smooth_um: float) -> Float64[np.ndarray, " obs"]:
        """Return a smooth random field of unit variance.

        White noise under a Gaussian with a standard deviation of `smooth_um`, on the grid or, where
        rows are moved, on one of half the pitch.
        """
        across = self.pitch / 2 if self.hexagonal else self.pitch
        columns = 2 * self.columns + 1 if self.hexagonal else self.columns
        noise = rng.standard_normal((self.rows, columns))
        smooth = gaussian_filter(noise, (smooth_um / self.row_pitch, smooth_um / across))
        row, column = self.places.T
        field = smooth[row, column]
        return np.asarray(field / field.std(), dtype=np.float64)
