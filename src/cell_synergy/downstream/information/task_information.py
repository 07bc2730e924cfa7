"""Information decomposition of every classification task of a data set, from probes' posteriors."""

from collections.abc import Mapping, Sequence

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64, Int, Shaped
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import UNIMODAL
from cell_synergy.data.config import Task
from cell_synergy.data.paired import task_labels
from cell_synergy.data.remarks import add_remark
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.information.decompose import COLUMNS, HeldOutPosteriors, decompose

JOINT = "concat"  # the method whose best probe on the inner folds is the joint probe of the pair

_Posteriors = Mapping[str, Mapping[str, np.ndarray]]


def information(
    adata: ad.AnnData,
    groups: Shaped[np.ndarray, " obs"],
    folds: Sequence[Fold],
    tasks: Mapping[str, Task],
    posteriors: _Posteriors,
    max_clusters: int,
) -> pd.DataFrame:
    """Decompose the information of two modalities about every classification task.

    A task whose labelled test rows have fewer than two classes, or fewer than two groups (donors,
    or sections or blocks of a single donor), is left out with a printed message.

    Parameters
    ----------
    adata
        Observations with labels and donors in `obs`.
    groups
        Group of each observation, which no split divides; unused if test rows have several donors.
    folds, tasks
        Splits, whose test rows have posteriors; and tasks, of which regressions are left out.
    posteriors
        Class probabilities of test rows times 255, by method and `<task>/<fold>`, as `evaluate`
        returns them: of both experts, of `concat` and of any other methods.
    max_clusters
        Maximal number of clusters of one modality's posteriors.

    Returns
    -------
    :
        One row per task, method and quantity: the column `task`, those that `decompose.decompose`
        returns, in bits, and `remark` if the data set has one. Empty if no task can be estimated.

    Raises
    ------
    DataError
        If posteriors of an expert or of `concat` are missing or are no probabilities.
    """
    if missing := [name for name in (*UNIMODAL, JOINT) if name not in posteriors]:
        raise DataError(f"no posteriors of {missing[0]!r}: probe it too (`dvc repro`)")
    tests = np.concatenate([np.flatnonzero(fold.test) for fold in folds])
    donor = adata.obs["donor"].astype(str).to_numpy()
    if len(np.unique(donor[tests])) > 1:
        groups = donor  # recalibration is across donors, also where splits leave out blocks
    tables = []
    for task, spec in tasks.items():
        if spec.kind != "classification":
            continue
        codes = task_labels(adata, task).cat.codes.to_numpy().astype(np.int64)
        rows = tests[codes[tests] >= 0]
        if reason := _not_estimable(codes[rows], groups[rows]):
            tqdm.write(f"{adata.uns['source']}: task {task!r} left out: {reason}")
            continue
        held_out = _held_out(task, codes, donor, groups, folds, tests, posteriors)
        tables.append(decompose(held_out, max_clusters).assign(task=task))
    if not tables:
        return pd.DataFrame(columns=["task", *COLUMNS])
    table = pd.concat(tables, ignore_index=True)
    return add_remark(table[["task", *table.columns.drop("task")]], adata.uns)


def _held_out(
    task: str,
    codes: Int[np.ndarray, " obs"],
    donor: Shaped[np.ndarray, " obs"],
    groups: Shaped[np.ndarray, " obs"],
    folds: Sequence[Fold],
    tests: Int[np.ndarray, " tests"],
    posteriors: _Posteriors,
) -> HeldOutPosteriors:
    """Return the posteriors of one task for its labelled test rows."""
    labelled = codes[tests] >= 0
    rows = tests[labelled]
    methods = {
        name: _task_posteriors(by_fold, task, folds)[labelled]
        for name, by_fold in posteriors.items()
    }
    experts = {name: methods.pop(name) for name in UNIMODAL}
    return HeldOutPosteriors(
        codes[rows], donor[rows], groups[rows], **experts, joint=methods[JOINT],
        methods=methods, cross_validated=len(folds) > 1,
    )  # fmt: skip


def _task_posteriors(
    by_fold: Mapping[str, np.ndarray], task: str, folds: Sequence[Fold]
) -> Float64[np.ndarray, "tests classes"]:
    """Return a method's class probabilities of the test rows, fold after fold."""
    return np.concatenate([by_fold[f"{task}/{fold.name}"] for fold in folds]) / 255


def _not_estimable(codes: Int[np.ndarray, " obs"], groups: Shaped[np.ndarray, " obs"]) -> str:
    """Return why the information about a task cannot be estimated; an empty string if it can."""
    for what, names in (("classes", codes), ("donors (sections, blocks)", groups)):
        if (count := len(np.unique(names))) < 2:  # noqa: PLR2004 - an estimate needs two of both
            return f"labelled test observations of {count} {what}, two needed"
    return ""
