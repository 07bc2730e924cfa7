"""Targets of the spatial tasks: the majority label and mean composition of the neighbours."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, Int
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.paired import task_labels
from cell_synergy.downstream.probes.tasks import Target, task_targets
from cell_synergy.downstream.spatial.graph import DistanceBand

_NO_LABEL = -1


@dataclass(frozen=True)
class BandTarget:
    """The target of one task in one distance band.

    Attributes
    ----------
    target
        Majority label or mean composition of each observation's neighbours.
    task
        Name of the task that the labels or compositions of the neighbours belong to.
    number
        Number of the band, from 1.
    band
        The band.
    """

    target: Target
    task: str
    number: int
    band: DistanceBand


def band_targets(
    paired: PairedDataset,
    tasks: Mapping[str, Task],
    bands: list[DistanceBand],
    min_labelled: int,
) -> list[BandTarget]:
    """Return the target of every classification and composition task in every band.

    Parameters
    ----------
    paired
        The data set.
    tasks
        Tasks of the data set; gene panels are not predicted for neighbours.
    bands
        The distance bands.
    min_labelled
        Minimal number of observations of a donor that have labelled neighbours; with fewer, the
        target has no labels for this donor.

    Returns
    -------
    :
        Targets of all bands, from the innermost on, each in the order of the tasks.

    Raises
    ------
    DataError
        If a task needs compositions that the data set does not have.
    """
    spatial_tasks = {name: task for name, task in tasks.items() if task.kind != "gene_panel"}
    compositions = [name for name, task in spatial_tasks.items() if task.kind == "composition"]
    if compositions and "cell_type_ratio" not in paired.adata.obsm:
        raise DataError(
            f"{paired.adata.uns['source']}: task {compositions[0]!r} but no "
            "obsm['cell_type_ratio']; store the cell-type shares of each observation there, or "
            "drop the task"
        )
    targets = []
    for number, band in enumerate(bands, start=1):
        neighbours = replace(paired, adata=_neighbour_labels(paired.adata, spatial_tasks, band))
        for target in task_targets(neighbours, spatial_tasks):
            labelled = _enough_labels(target.labelled, paired, min_labelled)
            named = _in_band(target, number, labelled)
            targets.append(BandTarget(named, target.name, number, band))
    return targets


def majority(
    codes: Int[np.ndarray, " obs"], classes: int, band: DistanceBand
) -> Int[np.ndarray, " obs"]:
    """Return the most frequent class among each observation's neighbours.

    Of classes with equal counts the one with the smaller mean distance is returned; if mean
    distances are equal too, as on a lattice, the first of them.

    Parameters
    ----------
    codes
        Class of each observation, from 0; -1 without a label.
    classes
        Number of classes.
    band
        The neighbours of each observation, with their distances.

    Returns
    -------
    :
        Class of each observation; -1 where no neighbour has a label.
    """
    onehot = (codes[:, None] == np.arange(classes)).astype(np.float32)
    counts = _adjacency(band) @ onehot
    largest = counts.max(axis=1, keepdims=True)
    distance = np.round(band.graph @ onehot, 1)  # a tenth of a micrometre: lattices are not exact
    winner = np.where(counts == largest, distance, np.inf).argmin(axis=1)
    return np.where(largest[:, 0] > 0, winner, _NO_LABEL)


def composition(
    shares: Float[np.ndarray, "obs types"], band: DistanceBand
) -> Float64[np.ndarray, "obs types"]:
    """Return the mean composition of each observation's neighbours.

    Parameters
    ----------
    shares
        Cell-type shares of each observation, one column per cell type; NaN if they are missing.
    band
        The neighbours of each observation.

    Returns
    -------
    :
        Mean shares, with the columns of `shares`; NaN where no neighbour has a composition.
    """
    present = np.isfinite(shares).all(axis=1)
    sums = _adjacency(band) @ np.where(present[:, None], shares, 0.0)
    count = _adjacency(band) @ present.astype(np.float64)
    means = np.full(sums.shape, np.nan)
    np.divide(sums, count[:, None], out=means, where=count[:, None] > 0)
    return means


def _neighbour_labels(
    adata: ad.AnnData, tasks: Mapping[str, Task], band: DistanceBand
) -> ad.AnnData:
    """Return the observations with the majority labels and mean shares of their neighbours."""
    obs = adata.obs[["donor", "section"]].copy()
    for name in (name for name, task in tasks.items() if task.kind == "classification"):
        column = task_labels(adata, name).cat
        codes = majority(column.codes.to_numpy().astype(np.int64), len(column.categories), band)
        obs[name] = pd.Categorical.from_codes(codes, column.categories)
    neighbours = ad.AnnData(sparse.csr_matrix(np.zeros((len(obs), 0), dtype=np.float32)), obs=obs)
    if "cell_type_ratio" in adata.obsm:
        ratio: pd.DataFrame = adata.obsm["cell_type_ratio"]
        shares = composition(ratio.to_numpy(np.float64), band)
        neighbours.obsm["cell_type_ratio"] = pd.DataFrame(shares, obs.index, ratio.columns)
    return neighbours


def _adjacency(band: DistanceBand) -> sparse.csr_array:
    """Return the adjacency matrix of a band's graph, with ones instead of distances."""
    graph = band.graph
    ones = np.ones(graph.nnz, dtype=np.float32)
    return sparse.csr_array((ones, graph.indices, graph.indptr), shape=graph.shape)


def _enough_labels(
    labelled: Bool[np.ndarray, " obs"], paired: PairedDataset, min_labelled: int
) -> Bool[np.ndarray, " obs"]:
    """Return the labelled observations of donors that have at least `min_labelled` of them."""
    donors, inverse = np.unique(paired.donor, return_inverse=True)
    counts = np.bincount(inverse[labelled], minlength=len(donors))
    return labelled & (counts[inverse] >= min_labelled)


def _in_band(target: Target, number: int, labelled: Bool[np.ndarray, " obs"]) -> Target:
    """Return a target under the name of its band, restricted to some labelled observations."""
    return replace(
        target,
        name=f"neighbours {target.name} {number}",
        labelled=labelled,
        codes=np.where(labelled, target.codes, _NO_LABEL),
    )
