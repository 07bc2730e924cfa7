"""The pairs of a data set: one AnnData with one row per observation (patch, spot or cell).

`X`: raw counts (CSR); `obs`: `donor`, `section`, and `block` where sections are divided into
blocks; `var["panel"]` marks genes hidden from the expression expert; `obsm["spatial"]`: micrometres
in the image's frame; `uns`: `source`, `simulated`, `mpp` and `images` (by section). Where patches
keep their cells, `uns["cells"]` has their `counts` (CSR, cells x genes) and `unit`, the row of each
cell's patch in `obs`; the counts of a patch are the sum over its cells.

Labels are in files of their own (`cell_synergy.data.label_files`), so that a new task leaves the
pairs as they are. A gene panel alone is part of the pairs, as it decides what the expert sees.
"""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Int64
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import as_names, check_spellings
from cell_synergy.core.messages import suggest
from cell_synergy.data import anndata_files, label_files
from cell_synergy.data.config import Task
from cell_synergy.data.obsm import as_coords


def log_normalise(counts: sparse.csr_matrix, total: float = 1e4) -> sparse.csr_matrix:
    """Return ln(1 + counts x total / row sum), CSR in float32; a row without counts stays zero.

    Parameters
    ----------
    counts
        Raw counts, observations x genes.
    total
        Sum to which the counts of each row are scaled.
    """
    sums = np.asarray(counts.sum(axis=1)).ravel()
    scale = np.divide(total, sums, out=np.zeros_like(sums, dtype=np.float64), where=sums > 0)
    scaled = sparse.csr_matrix(sparse.diags(scale) @ counts)
    scaled.data = np.log1p(scaled.data)
    return scaled.astype(np.float32)


def task_labels(adata: ad.AnnData, task: str) -> pd.Series:
    """Return the label of each observation in a classification task, a categorical column.

    Parameters
    ----------
    adata
        Observations with labels.
    task
        Name of the task.

    Raises
    ------
    DataError
        If there are no labels of this task.
    """
    if task not in adata.obs:
        raise DataError(
            f"{adata.uns['source']}: no labels of task {task!r}{suggest(task, adata.obs)}; name a "
            "column of the data under `tasks`, and run `dvc repro pairs`"
        )
    labels: pd.Series = adata.obs[task]
    return labels


def regression_target(pairs: ad.AnnData, task: str, spec: Task) -> Float[np.ndarray, "obs outputs"]:
    """Return the targets of a regression task: composition, or log-normalised panel genes.

    Parameters
    ----------
    pairs
        The pairs with their labels.
    task
        Name of the task, for messages.
    spec
        The task: a composition or a gene panel. Cell types that `exclude` names are left out; the
        shares of the others are not rescaled.

    Returns
    -------
    One column per cell type (shares, NaN without a label), or per gene of the panel in the order of
    `pairs` (counts after `log_normalise` over all genes).

    Raises
    ------
    DataError
        If the task is a gene panel and the pairs have none in `var["panel"]`.
    """
    if spec.kind == "composition":
        ratio: pd.DataFrame = pairs.obsm["cell_type_ratio"]
        return ratio.drop(columns=[c for c in spec.exclude if c in ratio]).to_numpy(np.float64)
    if not (panel := pairs.var["panel"].to_numpy(bool)).any():
        raise DataError(f"{pairs.uns['source']}: task {task!r} but no gene is marked as panel")
    return np.asarray(log_normalise(pairs.X)[:, panel].todense(), dtype=np.float64)


def visible_counts(pairs: ad.AnnData) -> Float32[sparse.csr_matrix, "obs genes"]:
    """Return the raw counts of all genes but the panel, whose counts a task predicts (CSR)."""
    return sparse.csr_matrix(pairs.X)[:, ~pairs.var["panel"].to_numpy(bool)]


def cell_counts(
    pairs: ad.AnnData,
) -> tuple[Float32[sparse.csr_matrix, "cells genes"], Int64[np.ndarray, " cells"]] | None:
    """Return the raw counts of all cells of the pairs, and the row of each cell's observation.

    Returns
    -------
    Counts, cells x genes, without the genes of the panel, and rows of `pairs`; None if the pairs
    keep no cells, so that an expert of cells reads each observation as one cell.

    Raises
    ------
    DataError
        If the cells are not those of these observations, for example in a subset of the pairs.
    """
    if "cells" not in pairs.uns:
        return None
    _check_cells(pairs, str(pairs.uns["source"]))
    stored = pairs.uns["cells"]
    counts = sparse.csr_matrix(stored["counts"])[:, ~pairs.var["panel"].to_numpy(bool)]
    return counts, np.asarray(stored["unit"], dtype=np.int64)


def write(path: Path, pairs: ad.AnnData) -> None:
    """Check the pairs and write them as `.h5ad`.

    Parameters
    ----------
    path
        File to write.
    pairs
        Observations in the format that the docstring of this module defines.

    Raises
    ------
    DataError
        If `check` refuses them.
    """
    check(pairs, path.name)
    anndata_files.write(path, pairs)


def read(path: Path, labels: Path | None = None) -> ad.AnnData:
    """Read the pairs, check them, and add their labels.

    Parameters
    ----------
    path
        File of the pairs.
    labels
        Label file of the pairs: classification tasks become further columns of `obs`, a composition
        becomes `obsm["cell_type_ratio"]`. None for pairs without labels.

    Raises
    ------
    DataError
        If a file is missing or broken, `check` refuses the pairs, or `label_files.add_labels` the
        labels.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such pairs; name the data set in `datasets` and run `dvc repro`"
        )
    pairs = anndata_files.read(path, "delete it and run `dvc repro`")
    check(pairs, str(path))
    if labels is not None:
        label_files.add_labels(pairs, labels)
    return pairs


def check(pairs: ad.AnnData, where: str) -> None:
    """Refuse pairs that are not in the format that the docstring of this module defines.

    Parameters
    ----------
    pairs
        Paired observations.
    where
        The file, for messages.

    Raises
    ------
    DataError
        If a name of an observation occurs twice, a donor or section is missing or spelt in several
        ways, coordinates are missing or not finite, a count is negative or not finite, or the
        counts of cells do not add up to those of their observations.
    """
    names = pairs.obs_names
    if not names.is_unique:
        raise DataError(
            f"{where}: observation {names[names.duplicated()][0]!r} occurs twice; rename it"
        )
    for column in ("donor", "section"):
        if column not in pairs.obs:
            raise DataError(f"{where}: no obs[{column!r}]; name the {column} of every observation")
        as_names(pairs.obs[column], column, f"{where}: obs[{column!r}]")
        spellings = pairs.obs[column].astype(str).unique().tolist()
        check_spellings(spellings, column, f"{where}: obs[{column!r}]")
    if "spatial" not in pairs.obsm:
        raise DataError(
            f"{where}: no obsm['spatial']; store each observation's coordinates in micrometres"
        )
    as_coords(pairs.obsm["spatial"], names, f"{where}: obsm['spatial']")
    _check_counts(pairs, where)
    if "cells" in pairs.uns:
        _check_cells(pairs, where)


def _check_counts(pairs: ad.AnnData, where: str) -> None:
    counts = sparse.csr_matrix(pairs.X)
    wrong = np.flatnonzero(~(np.isfinite(counts.data) & (counts.data >= 0)))
    if len(wrong):
        name = pairs.obs_names[int(np.searchsorted(counts.indptr, wrong[0], "right")) - 1]
        raise DataError(
            f"{where}: {len(wrong)} counts are NaN, infinite or negative, first "
            f"{counts.data[wrong[0]]} of gene {pairs.var_names[counts.indices[wrong[0]]]!r} in "
            f"observation {name!r}; store raw counts in X"
        )


def _check_cells(pairs: ad.AnnData, where: str) -> None:
    counts = sparse.csr_matrix(pairs.uns["cells"]["counts"])
    patch = np.asarray(pairs.uns["cells"]["unit"])
    remedy = "read the pairs whole, or make them again"
    inside = ((patch >= 0) & (patch < pairs.n_obs)).all()
    if counts.shape != (len(patch), pairs.n_vars) or not inside:
        raise DataError(
            f"{where}: uns['cells'] has {counts.shape[0]} cells x {counts.shape[1]} genes in "
            f"patches up to {patch.max(initial=-1)}, for {pairs.n_obs} patches x {pairs.n_vars} "
            f"genes; {remedy}"
        )
    sums = np.bincount(patch, np.asarray(counts.sum(axis=1)).ravel(), minlength=pairs.n_obs)
    wrong = np.flatnonzero(sums != np.asarray(pairs.X.sum(axis=1)).ravel())
    if len(wrong):
        raise DataError(
            f"{where}: the cells of {len(wrong)} patches (first {pairs.obs_names[wrong[0]]!r}) do "
            f"not add up to the patch's counts; {remedy}"
        )
