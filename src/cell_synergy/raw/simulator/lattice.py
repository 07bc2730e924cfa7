"""Lattice of the observations of a simulated section: grid squares or spots of an array."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Lattice:
    """Observations of a section in row-major order.

    Attributes
    ----------
    rows, columns
        Numbers of rows and columns.
    pitch
        Distance between neighbouring observations, micrometres.
    margin
        Width of the tissue around the observations, micrometres.
    hexagonal
        Whether every second row is shifted by half a pitch, like the spots of Visium.
    """

    rows: int
    columns: int
    pitch: float
    margin: float
    hexagonal: bool

    @property
    def n_obs(self) -> int:
        """Number of observations."""
        return self.rows * self.columns

    @property
    def row_pitch(self) -> float:
        """Distance between neighbouring rows, micrometres."""
        return self.pitch * np.sqrt(3) / 2 if self.hexagonal else self.pitch

    @property
    def extent(self) -> Float64[np.ndarray, " 2"]:
        """Width and height of the tissue with its margin, micrometres."""
        shift = 0.5 if self.hexagonal else 0.0
        across = (self.columns + shift) * self.pitch
        return np.array([across, self.rows * self.row_pitch]) + 2 * self.margin

    @property
    def grid_index(self) -> Int64[np.ndarray, "obs 2"]:
        """Row and column of each observation; hexagonal columns advance by two, as in Visium."""
        row, column = np.divmod(np.arange(self.n_obs), self.columns)
        return np.stack([row, 2 * column + row % 2 if self.hexagonal else column], axis=1)

    @property
    def centres(self) -> Float64[np.ndarray, "obs 2"]:
        """X and y of each observation, micrometres from the top left corner of the tissue."""
        row, column = self.grid_index.T
        across = column / 2 if self.hexagonal else column
        half = [self.pitch / 2, self.row_pitch / 2]
        corner = np.stack([across * self.pitch, row * self.row_pitch], axis=1)
        return np.asarray(self.margin + corner + half)

    def nearest(self, points: Float64[np.ndarray, "points 2"]) -> Int64[np.ndarray, " points"]:
        """Return the index of the observation nearest to each point.

        `points` are x and y in micrometres from the top left corner of the tissue.
        """
        if self.hexagonal:
            return np.asarray(cKDTree(self.centres).query(points)[1], dtype=np.int64)
        column, row = ((points - self.margin) // self.pitch).astype(np.int64).T
        row, column = row.clip(0, self.rows - 1), column.clip(0, self.columns - 1)
        return np.asarray(row * self.columns + column)

    def inside(
        self, points: Float64[np.ndarray, "points 2"], obs_index: Int64[np.ndarray, " points"]
    ) -> Bool[np.ndarray, " points"]:
        """Return whether each point is in the square or hexagon of its nearest observation.

        Parameters
        ----------
        points
            Coordinates x and y, in micrometres from the top left corner of the tissue.
        obs_index
            Index of the observation nearest to each point, as `nearest` returns it.
        """
        if self.hexagonal:
            x, y = np.abs(points - self.centres[obs_index]).T
            return np.asarray((2 * x <= self.pitch) & (x + np.sqrt(3) * y <= self.pitch))
        low = self.margin
        return np.asarray(((points >= low) & (points < self.extent - low)).all(axis=1))

    def gaussian_field(
        self, rng: np.random.Generator, smooth_um: float
    ) -> Float64[np.ndarray, " obs"]:
        """Draw a smooth random field, whose values at the observations have unit variance.

        White noise is smoothed with a Gaussian kernel. For a hexagonal lattice, the noise is drawn
        on a grid with columns at half the pitch.

        Parameters
        ----------
        rng
            Random stream of the field.
        smooth_um
            Standard deviation of the kernel, in micrometres.
        """
        across = self.pitch / 2 if self.hexagonal else self.pitch
        columns = 2 * self.columns + 1 if self.hexagonal else self.columns
        noise = rng.standard_normal((self.rows, columns))
        smooth = gaussian_filter(noise, (smooth_um / self.row_pitch, smooth_um / across))
        row, column = self.grid_index.T
        field = smooth[row, column]
        return np.asarray(field / field.std(), dtype=np.float64)
