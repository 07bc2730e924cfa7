"""Who lies around a unit: graphs of bands of distance, section by section.

Edges of the bands come from the data: within the outer radius of a band a unit has, on average over
its section, a given number of neighbours. Distances come from one k-d tree per section, so time and
memory grow with the number of neighbours, never with that of all pairs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int, Shaped
from scipy.sparse import csr_array
from scipy.spatial import KDTree

_SAMPLE = 4096  # units whose neighbours are counted to find radii
_GRAIN = 1e-3  # of the spacing: distances that differ by less are the same
_BLOCK = 8192  # units whose distances are in memory at a time
_WIDER = 1.3  # how much farther to look for the last neighbours


@dataclass(frozen=True)
class Band:
    """Neighbours at some distance.

    Attributes
    ----------
    graph
        Distance from each unit (row) to each of its neighbours, in micrometres.
    inner, outer
        Of each unit's section, in micrometres: neighbours are farther than `inner` and not farther
        than `outer`. NaN in a section that is too small for the band.
    """

    graph: csr_array
    inner: Float64[np.ndarray, " obs"]
    outer: Float64[np.ndarray, " obs"]

    @property
    def degree(self) -> Int[np.ndarray, " obs"]:
        """Number of neighbours of each unit."""
        return np.diff(self.graph.indptr)


def edges(
    spatial: Float[np.ndarray, "obs 2"],
    sections: Shaped[np.ndarray, " obs"],
    counts: Sequence[int],
) -> Float64[np.ndarray, "edges obs"]:
    """Return 0 and the outer radius of each band in each unit's section, in micrometres.

    Parameters
    ----------
    spatial
        Places, in micrometres.
    sections
        Section of each unit.
    counts
        Mean number of neighbours within the outer radius of each band, rising.
    """
    found = np.zeros((len(counts) + 1, len(spatial)))
    for name in np.unique(sections):
        own = sections == name
        found[1:, own] = radii(KDTree(spatial[own]), counts)[:, None]
    return found


def bands(
    spatial: Float[np.ndarray, "obs 2"],
    sections: Shaped[np.ndarray, " obs"],
    around: Float64[np.ndarray, "edges obs"],
) -> list[Band]:
    """Return the neighbours of every unit in the bands between the edges around it.

    Units of different sections are no neighbours, and no unit is its own.

    Parameters
    ----------
    spatial, sections
        As in `edges`.
    around
        Edges, in micrometres; the same for all units of a section, and NaN, from some edge on,
        where there is no band.
    """
    links = [_Links() for _ in around[1:]]
    for name in np.unique(sections):
        own = np.flatnonzero(sections == name)
        known = around[np.isfinite(around[:, own[0]]), own[0]]
        for i, j, distance in _near(KDTree(spatial[own]), known[-1]):
            place = np.searchsorted(known, distance) - 1
            for number in range(len(known) - 1):
                here = place == number
                links[number].add(own[i[here]], own[j[here]], distance[here])
    return [
        Band(links[number].graph(len(spatial)), around[number], around[number + 1])
        for number in range(len(links))
    ]


def radii(tree: KDTree, counts: Sequence[int]) -> Float64[np.ndarray, " counts"]:
    """Return the distances within which units have so many neighbours on average.

    On a lattice neighbours come in shells, and the shell is taken that comes nearest to the count.
    A section of fewer units has no such distance: NaN.

    Parameters
    ----------
    tree
        Places of a section's units, in micrometres.
    counts
        Rising.
    """
    found = np.full(len(counts), np.nan)
    possible = [count for count in counts if count < tree.n]
    if not possible:
        return found
    drawn = np.linspace(0, tree.n - 1, min(tree.n, _SAMPLE)).astype(np.int64)
    sample = KDTree(tree.data[drawn])
    nearest = np.asarray(tree.query(sample.data, k=[2, possible[-1] + 1])[0])
    grain, reach = _GRAIN * float(np.median(nearest[:, 0])), float(np.median(nearest[:, 1]))
    while sample.count_neighbors(tree, reach) < len(drawn) * (possible[-1] + 1):
        reach *= _WIDER
    apart = sample.sparse_distance_matrix(tree, reach + grain, output_type="ndarray")
    near = apart["v"][drawn[apart["i"]] != apart["j"]]
    shells, sizes = np.unique(np.rint(near / grain), return_counts=True)
    within = sizes.cumsum() / len(drawn)
    place = [int(abs(within - count).argmin()) for count in possible]
    found[: len(possible)] = (shells[place] + 0.5) * grain
    return found


def nearest(
    spatial: Float[np.ndarray, "obs 2"], count: int
) -> tuple[Float64[np.ndarray, "obs count"], Int[np.ndarray, "obs count"]]:
    """Return the nearest other units of each unit of a section, and how far away they are."""
    apart, which = KDTree(spatial).query(spatial, k=np.arange(2, count + 2))
    return np.asarray(apart), np.asarray(which)


class _Links:
    """Neighbours of one band, collected piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.add(*np.zeros((3, 0)))

    def add(self, i: np.ndarray, j: np.ndarray, distance: np.ndarray) -> None:
        self.pieces.append((i.astype(np.int32), j.astype(np.int32), distance.astype(np.float32)))

    def graph(self, units: int) -> csr_array:
        """Return all of them, and forget them."""
        i, j, distance = (np.concatenate(parts) for parts in zip(*self.pieces, strict=True))
        self.pieces.clear()
        graph = csr_array((distance, (i, j)), shape=(units, units))
        graph.sort_indices()
        return graph


def _near(tree: KDTree, reach: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield pairs of different units and their distance, block by block of the first one."""
    for start in range(0, tree.n if reach > 0 else 0, _BLOCK):
        block = KDTree(tree.data[start : start + _BLOCK])
        apart = block.sparse_distance_matrix(tree, reach, output_type="ndarray")
        i = apart["i"] + start
        other = i != apart["j"]
        yield i[other], apart["j"][other], apart["v"][other]
