"""Label files: the tasks' labels of a data set, in files of their own beside its pairs.

Labels depend on `tasks` of the data set; the pairs do not, so that a new task leaves the pairs, and
with them experts, embeddings and alignment, as they are. The exception is a gene panel: its genes
are hidden from the expression expert (`var["panel"]` of the pairs), so a new gene panel changes
what the expert sees.

A label file is an AnnData without `X`, with the observations of the pairs in the same order. `obs`:
one categorical column per classification task; `obsm["cell_type_ratio"]`: where a task is a
composition; `uns`: `source`, the data set, and `tasks`, the kind of each task. Reference donors, on
whose labels hyperparameters are selected, have a label file of their own,
`<dataset>-reference.h5ad`; of the columns of a task it has those that reference donors have, with
all their labels.

The task table `<dataset>.csv` beside it has one row per task: `dataset`, `simulated`, `role` (of
simulated tissue, what it is for), `task`, `kind`, `classes` (number of classes; of a regression,
outputs) and `observations` (number with a label). A data set without tasks has one row with an
empty `task`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.core.files import atomic_write
from cell_synergy.data import anndata_files
from cell_synergy.data.config import Task

_PAIRS_COLUMNS = ("donor", "section", "block")
_SHARES = "cell_type_ratio"
_COLUMNS = ["dataset", "simulated", "role", "task", "kind", "classes", "observations"]
_REMEDY = "delete it and run `dvc repro`"


@dataclass(frozen=True)
class TaskTable:
    """The tasks of one data set.

    Attributes
    ----------
    simulated
        Whether the data set is simulated.
    role
        What simulated tissue is for (`data.<dataset>.source.role`); empty for real tissue.
    tasks
        The columns `kind`, `classes` and `observations` of each task, with the task's name as the
        index, in the order of params.yaml.
    """

    simulated: bool
    role: str
    tasks: pd.DataFrame


def separate(adata: ad.AnnData, tasks: Mapping[str, Task]) -> tuple[ad.AnnData, ad.AnnData]:
    """Separate observations into pairs, which do not depend on `tasks`, and labels.

    Parameters
    ----------
    adata
        Observations with their labels: a column of `obs` for each classification task, and the
        composition in `obsm["cell_type_ratio"]`. Tasks without such data get no labels.
    tasks
        The tasks of the data set, by name.

    Returns
    -------
    :
        The pairs, with donor, section and block alone in `obs`, and their labels: an AnnData
        without `X` with the label columns in `obs`, the composition in `obsm["cell_type_ratio"]`,
        and the kind of each task in `uns["tasks"]`.
    """
    columns = [name for name in _PAIRS_COLUMNS if name in adata.obs]
    obsm = {key: value for key, value in adata.obsm.items() if key != _SHARES}
    pairs = ad.AnnData(
        adata.X, obs=adata.obs[columns], var=adata.var, uns=dict(adata.uns), obsm=obsm
    )
    kinds = {name: task.kind for name, task in tasks.items()}
    labelled = [n for n, kind in kinds.items() if kind == "classification" and n in adata.obs]
    labels = ad.AnnData(
        obs=adata.obs[labelled].copy(), uns={"source": adata.uns["source"], "tasks": kinds}
    )
    if "composition" in kinds.values() and _SHARES in adata.obsm:
        labels.obsm[_SHARES] = adata.obsm[_SHARES]
    return pairs, labels


def write(path: Path, labels: ad.AnnData) -> None:
    """Check the labels of a data set, and write them.

    Parameters
    ----------
    path
        File to write.
    labels
        Labels as `separate` returns them.

    Raises
    ------
    DataError
        If a label column is not categorical.
    """
    _check(labels, path.name)
    anndata_files.write(path, labels)


def add_labels(pairs: ad.AnnData, path: Path) -> None:
    """Add the labels of a file to the pairs: columns of `obs`, and `obsm["cell_type_ratio"]`.

    Parameters
    ----------
    pairs
        The pairs, which are changed in place.
    path
        The label file of these pairs.

    Raises
    ------
    DataError
        If there is no such file, it is broken, of another data set, or has a label column that is
        not categorical, its observations differ from those of the pairs in name or order, or the
        pairs have a column of that name already.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such labels; name the data set in `datasets` and run `dvc repro`"
        )
    labels = anndata_files.read(path, _REMEDY)
    _check(labels, str(path))
    if (source := labels.uns["source"]) != pairs.uns["source"]:
        raise DataError(f"{path}: labels of {source!r}, not of the pairs' {pairs.uns['source']!r}")
    if difference := anndata_files.obs_difference(labels.obs_names, pairs.obs_names):
        raise DataError(
            f"{path}: {difference}: labels of other pairs; make both again (`dvc repro pairs`)"
        )
    if twice := [name for name in labels.obs if name in pairs.obs]:
        raise DataError(
            f"{path}: the pairs have labels already (obs[{twice[0]!r}]); make both again "
            "(`dvc repro pairs`)"
        )
    for task in labels.obs:
        pairs.obs[task] = labels.obs[task]
    for key, value in labels.obsm.items():
        pairs.obsm[key] = value


def write_task_table(
    path: Path, adata: ad.AnnData, dataset: str, tasks: Mapping[str, Task], role: str
) -> None:
    """Write the task table of a data set, a CSV of one row per task.

    Columns: `dataset`, `simulated`, `role`, `task`, `kind`, `classes` (number of classes or
    outputs) and `observations` (number with a label). Without tasks, one row has an empty `task`.

    Parameters
    ----------
    path
        File to write.
    adata
        The pairs with their labels, and `uns["simulated"]`.
    dataset
        The data set's name.
    tasks
        The tasks of the data set, by name.
    role
        What simulated tissue is for; empty for real tissue.
    """
    of_dataset = {"dataset": dataset, "simulated": bool(adata.uns["simulated"]), "role": role}
    rows = [
        of_dataset | {"task": name, "kind": task.kind} | _counts(adata, name, task)
        for name, task in tasks.items()
    ]
    no_task = of_dataset | {"task": "", "kind": "", "classes": 0, "observations": 0}
    with atomic_write(path) as new:
        pd.DataFrame(rows or [no_task], columns=_COLUMNS).to_csv(new, index=False)


def read_task_table(folder: Path, dataset: str) -> TaskTable:
    """Read the task table of a data set.

    Parameters
    ----------
    folder
        Folder of the label files and task tables of all data sets.
    dataset
        The data set's name.

    Raises
    ------
    DataError
        If there is no such table, or it is not the task table of this data set.
    """
    path = folder / f"{dataset}.csv"
    if not path.is_file():
        raise DataError(f"{path}: no such table of tasks; make it with `dvc repro pairs`")
    table = pd.read_csv(path, dtype=dict.fromkeys(_COLUMNS, str), keep_default_na=False)
    if list(table.columns) != _COLUMNS or table.empty or set(table["dataset"]) != {dataset}:
        raise DataError(f"{path}: not the table of tasks of {dataset!r}; {_REMEDY}")
    tasks = table[table["task"] != ""].set_index("task")[["kind", "classes", "observations"]]
    counts = {"classes": int, "observations": int}
    simulated, role = table[["simulated", "role"]].iloc[0]
    return TaskTable(simulated == "True", role, tasks.astype(counts))


def _counts(adata: ad.AnnData, name: str, task: Task) -> dict[str, int]:
    """Return the number of classes or outputs of a task, and of observations with a label."""
    if task.kind == "classification":
        labels = adata.obs[name]
        return {"classes": len(labels.cat.categories), "observations": int(labels.notna().sum())}
    if task.kind == "gene_panel":
        return {"classes": int(adata.var["panel"].sum()), "observations": adata.n_obs}
    shares: pd.DataFrame = adata.obsm[_SHARES].drop(columns=list(task.exclude), errors="ignore")
    complete = np.isfinite(shares.to_numpy(np.float64)).all(axis=1)
    return {"classes": shares.shape[1], "observations": int(complete.sum())}


def _check(labels: ad.AnnData, where: str) -> None:
    """Refuse the column of a classification task that is not categorical."""
    if "source" not in labels.uns:
        raise DataError(f"{where}: no uns['source'], so it is no label file; {_REMEDY}")
    for task in labels.obs:
        if not isinstance(labels.obs[task].dtype, pd.CategoricalDtype):
            raise DataError(f"{where}: obs[{task!r}] is not categorical; convert it")
