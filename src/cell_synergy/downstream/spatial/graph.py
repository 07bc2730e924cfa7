"""Radius graphs of the observations in bands of distance, section by section.

The outer radius of a band is computed from the data, such that the observations of a section have a
given mean number of neighbours within it. Distances come from one k-d tree per section, so that
time and memory grow with the number of neighbours, not with that of all pairs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int, Shaped
from scipy.sparse import csr_array
from scipy.spatial import KDTree

_SAMPLE = 4096  # observations whose neighbours are counted to compute radii
_GRAIN = 1e-3  # share of the median spacing; distances that differ by less count as equal
_BLOCK = 8192  # observations whose distances are in memory at a time
_GROWTH = 1.3  # factor by which the search radius grows until enough neighbours are within it


@dataclass(frozen=True)
class DistanceBand:
    """The neighbours of every observation within an annulus.

    Attributes
    ----------
    graph
        Distance from each observation (row) to each of its neighbours, in micrometres.
    inner_radius, outer_radius
        Radii of the annulus, in micrometres, equal for all observations of a section: a neighbour's
        distance is above the inner and at most the outer radius. NaN where a section has too few
        observations.
    """

    graph: csr_array
    inner_radius: Float64[np.ndarray, " obs"]
    outer_radius: Float64[np.ndarray, " obs"]

    @property
    def degree(self) -> Int[np.ndarray, " obs"]:
        """Number of neighbours of each observation."""
        return np.diff(self.graph.indptr)


def band_edges(
    coords: Float[np.ndarray, "obs 2"],
    sections: Shaped[np.ndarray, " obs"],
    counts: Sequence[int],
) -> Float64[np.ndarray, "edges obs"]:
    """Return the radii that separate the bands, for each observation those of its section.

    Parameters
    ----------
    coords
        Coordinates, in micrometres.
    sections
        Section of each observation.
    counts
        Mean number of neighbours within the outer radius of each band, increasing.

    Returns
    -------
    :
        Zero (first row) and the outer radius of each band, in micrometres; NaN in a section with
        no more observations than neighbours of the band.
    """
    radii = np.zeros((len(counts) + 1, len(coords)))
    for name in np.unique(sections):
        mask = sections == name
        radii[1:, mask] = band_radii(KDTree(coords[mask]), counts)[:, None]
    return radii


def bands(
    coords: Float[np.ndarray, "obs 2"],
    sections: Shaped[np.ndarray, " obs"],
    radii: Float64[np.ndarray, "edges obs"],
) -> list[DistanceBand]:
    """Return the neighbours of every observation in the bands between consecutive radii.

    Observations of different sections are no neighbours, and no observation is its own neighbour.

    Parameters
    ----------
    coords, sections
        Coordinates, in micrometres, and section of each observation.
    radii
        Radii as `band_edges` returns them, equal for all observations of a section and increasing.

    Returns
    -------
    :
        One band for each pair of consecutive radii, from the innermost on. A band has no neighbours
        in sections where its outer radius is NaN.
    """
    links = [_Links() for _ in radii[1:]]
    for name in np.unique(sections):
        rows = np.flatnonzero(sections == name)
        finite = radii[np.isfinite(radii[:, rows[0]]), rows[0]]
        for i, j, distance in _pairs_within(KDTree(coords[rows]), finite[-1]):
            band = np.searchsorted(finite, distance) - 1
            for number in range(len(finite) - 1):
                mask = band == number
                links[number].add(rows[i[mask]], rows[j[mask]], distance[mask])
    return [
        DistanceBand(links[number].graph(len(coords)), radii[number], radii[number + 1])
        for number in range(len(links))
    ]


def band_radii(tree: KDTree, counts: Sequence[int]) -> Float64[np.ndarray, " counts"]:
    """Return the radii within which observations have the given mean numbers of neighbours.

    On a lattice, neighbours lie in shells of equal distance; a radius then includes as many shells
    as bring the mean number of neighbours nearest to the given number.

    Parameters
    ----------
    tree
        k-d tree of the coordinates of a section, in micrometres.
    counts
        Mean numbers of neighbours, increasing.

    Returns
    -------
    :
        Radii in micrometres, in the order of `counts`; NaN for a count that is not below the number
        of observations.
    """
    radii = np.full(len(counts), np.nan)
    possible = [count for count in counts if count < tree.n]
    if not possible:
        return radii
    rows = np.linspace(0, tree.n - 1, min(tree.n, _SAMPLE)).astype(np.int64)
    sample = KDTree(tree.data[rows])
    nearest = np.asarray(tree.query(sample.data, k=[2, possible[-1] + 1])[0])
    grain, reach = _GRAIN * float(np.median(nearest[:, 0])), float(np.median(nearest[:, 1]))
    while sample.count_neighbors(tree, reach) < len(rows) * (possible[-1] + 1):
        reach *= _GROWTH
    distances = sample.sparse_distance_matrix(tree, reach + grain, output_type="ndarray")
    distance = distances["v"][rows[distances["i"]] != distances["j"]]
    shells, sizes = np.unique(np.rint(distance / grain), return_counts=True)
    mean_counts = sizes.cumsum() / len(rows)
    index = [int(abs(mean_counts - count).argmin()) for count in possible]
    radii[: len(possible)] = (shells[index] + 0.5) * grain
    return radii


def nearest_neighbours(
    coords: Float[np.ndarray, "obs 2"], count: int
) -> tuple[Float64[np.ndarray, "obs count"], Int[np.ndarray, "obs count"]]:
    """Return the distances and indices of the nearest neighbours within one section.

    Parameters
    ----------
    coords
        Coordinates of the section's observations.
    count
        Number of neighbours; an observation is not its own neighbour.

    Returns
    -------
    :
        Distances, in the unit of the coordinates, and indices of the neighbours, nearest first. A
        missing neighbour, in a section of too few observations, has an infinite distance.
    """
    distance, index = KDTree(coords).query(coords, k=np.arange(2, count + 2))
    return np.asarray(distance), np.asarray(index)


class _Links:
    """Edges of one band's graph, collected in pieces."""

    def __init__(self) -> None:
        self.pieces: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.add(*np.zeros((3, 0)))

    def add(self, i: np.ndarray, j: np.ndarray, distance: np.ndarray) -> None:
        self.pieces.append((i.astype(np.int32), j.astype(np.int32), distance.astype(np.float32)))

    def graph(self, n_obs: int) -> csr_array:
        """Return the graph, and release the memory of the pieces."""
        i, j, distance = (np.concatenate(parts) for parts in zip(*self.pieces, strict=True))
        self.pieces.clear()
        graph = csr_array((distance, (i, j)), shape=(n_obs, n_obs))
        graph.sort_indices()
        return graph


def _pairs_within(
    tree: KDTree, radius: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield indices and distances of pairs of observations, by blocks of the first observation."""
    for start in range(0, tree.n if radius > 0 else 0, _BLOCK):
        block = KDTree(tree.data[start : start + _BLOCK])
        distances = block.sparse_distance_matrix(tree, radius, output_type="ndarray")
        i = distances["i"] + start
        other = i != distances["j"]
        yield i[other], distances["j"][other], distances["v"][other]
