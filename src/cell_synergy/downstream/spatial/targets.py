"""What is asked of a unit's embedding: the labels and the composition of its neighbours."""

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
from cell_synergy.downstream.probes.tasks import Goal, goals
from cell_synergy.downstream.spatial.graph import Band

_NO_LABEL = -1


@dataclass(frozen=True)
class Target:
    """One task in one band.

    Attributes
    ----------
    goal
        What is asked of every unit.
    task
        Whose labels they are.
    number
        Of the band, from 1.
    band
        The neighbours.
    """

    goal: Goal
    task: str
    number: int
    band: Band


def targets(
    paired: PairedDataset, tasks: Mapping[str, Task], around: list[Band], least: int
) -> list[Target]:
    """Return what every task asks of the neighbours in every band, labels and compositions alike.

    Parameters
    ----------
    tissue
        The data set.
    tasks
        Its tasks; panels of genes are not asked of neighbours.
    around
        The bands.
    least
        Units of a donor with labelled neighbours; with fewer the donor's have no label.

    Raises
    ------
    DataError
        If a task asks for a composition that the units do not have.
    """
    asked = {name: task for name, task in tasks.items() if task.kind != "gene_panel"}
    compositions = [name for name, task in asked.items() if task.kind == "composition"]
    if compositions and "cell_type_ratio" not in paired.adata.obsm:
        raise DataError(
            f"{paired.adata.uns['source']}: task {compositions[0]!r} but no "
            "obsm['cell_type_ratio']; store each unit's cell-type shares there, or drop the task"
        )
    found = []
    for number, band in enumerate(around, start=1):
        for goal in goals(replace(paired, adata=_as_seen(paired.adata, asked, band)), asked):
            enough = _enough(goal.labelled, paired, least)
            found.append(Target(_named(goal, number, enough), goal.name, number, band))
    return found


def majority(codes: Int[np.ndarray, " obs"], classes: int, band: Band) -> Int[np.ndarray, " obs"]:
    """Return the most frequent class among each unit's neighbours; -1 where none has a label.

    Of classes that are equally frequent the one whose neighbours are nearer on average is taken; if
    even that is the same, as on a lattice, the first.

    Parameters
    ----------
    codes
        Class of each unit; -1 without a label.
    classes
        Their number.
    band
        The neighbours.
    """
    own = (codes[:, None] == np.arange(classes)).astype(np.float32)
    counts = _links(band) @ own
    most = counts.max(axis=1, keepdims=True)
    apart = np.round(band.graph @ own, 1)  # a tenth of a micrometre: lattices are not exact
    winner = np.where(counts == most, apart, np.inf).argmin(axis=1)
    return np.where(most[:, 0] > 0, winner, _NO_LABEL)


def composition(
    shares: Float[np.ndarray, "obs types"], band: Band
) -> Float64[np.ndarray, "obs types"]:
    """Return the mean composition of each unit's neighbours; NaN where none has one."""
    known = np.isfinite(shares).all(axis=1)
    sums = _links(band) @ np.where(known[:, None], shares, 0.0)
    count = _links(band) @ known.astype(np.float64)
    found = np.full(sums.shape, np.nan)
    np.divide(sums, count[:, None], out=found, where=count[:, None] > 0)
    return found


def _as_seen(units: ad.AnnData, tasks: Mapping[str, Task], band: Band) -> ad.AnnData:
    """Return the units with the labels and the composition of their neighbours."""
    obs = units.obs[["donor", "section"]].copy()
    for name in (name for name, task in tasks.items() if task.kind == "classification"):
        column = units.obs[name].cat
        codes = majority(column.codes.to_numpy().astype(np.int64), len(column.categories), band)
        obs[name] = pd.Categorical.from_codes(codes, column.categories)
    seen = ad.AnnData(sparse.csr_matrix(np.zeros((len(obs), 0), dtype=np.float32)), obs=obs)
    if "cell_type_ratio" in units.obsm:
        ratio: pd.DataFrame = units.obsm["cell_type_ratio"]
        shares = composition(ratio.to_numpy(np.float64), band)
        seen.obsm["cell_type_ratio"] = pd.DataFrame(shares, obs.index, ratio.columns)
    return seen


def _links(band: Band) -> sparse.csr_array:
    """Return the graph with a one for every neighbour."""
    graph = band.graph
    ones = np.ones(graph.nnz, dtype=np.float32)
    return sparse.csr_array((ones, graph.indices, graph.indptr), shape=graph.shape)


def _enough(
    labelled: Bool[np.ndarray, " obs"], paired: PairedDataset, least: int
) -> Bool[np.ndarray, " obs"]:
    """Return the labelled units of donors that have enough of them."""
    donors, of = np.unique(paired.donor, return_inverse=True)
    counts = np.bincount(of[labelled], minlength=len(donors))
    return labelled & (counts[of] >= least)


def _named(goal: Goal, number: int, labelled: Bool[np.ndarray, " obs"]) -> Goal:
    """Return the goal under the name of its band, with these units labelled."""
    return replace(
        goal,
        name=f"neighbours {goal.name} {number}",
        labelled=labelled,
        codes=np.where(labelled, goal.codes, _NO_LABEL),
    )
