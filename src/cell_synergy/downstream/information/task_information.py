"""Information decomposition of every classification task of a data set, from probes' posteriors."""

from collections.abc import Mapping, Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int, Shaped
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import UNIMODAL
from cell_synergy.data.config import Task
from cell_synergy.data.paired import task_labels
from cell_synergy.data.remarks import add_remark
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.information.decompose import COLUMNS, decompose
from cell_synergy.downstream.information.held_out import PAIR, HeldOutPosteriors, Key

JOINT = "concat"  # the method whose best probe on the inner folds is the joint probe of the pair

_ByFold = Mapping[str, np.ndarray]
_SEPARATOR = " / "  # of the names of different probes in different folds


def information(
    adata: ad.AnnData,
    groups: Shaped[np.ndarray, " obs"],
    folds: Sequence[Fold],
    tasks: Mapping[str, Task],
    posteriors: Mapping[str, _ByFold],
    max_clusters: int,
) -> pd.DataFrame:
    """Decompose the information of two modalities about every classification task.

    Test rows of a class that no training row of their fold has are left out, as in the metric
    `bits`. A task whose other labelled test rows have fewer than two classes, or fewer than two
    groups (donors, or sections or blocks of a single donor), is left out with a printed message.

    Parameters
    ----------
    adata
        Observations with labels and donors in `obs`.
    groups
        Group of each observation, which no split divides; unused if test rows have several donors.
    folds, tasks
        Splits, whose test rows have posteriors; and tasks, of which regressions are left out.
    posteriors
        Class probabilities of test rows times 255, by method and `<task>/<fold>`, and names of
        their probes, as `evaluate` returns them: of both experts, of `concat` and of any other
        methods.
    max_clusters
        Maximal number of clusters of one modality's posteriors.

    Returns
    -------
    :
        One row per task, method and quantity: the column `task`, those that `decompose.decompose`
        returns, in bits, and `remark` if the data set has one. Empty if no task can be estimated.
        `probe` has several names, separated by slashes, where it differs between folds.

    Raises
    ------
    DataError
        If posteriors of an expert or of `concat`, or the name of a probe, are missing, or
        posteriors are no probabilities.
    """
    if missing := [name for name in (*UNIMODAL, JOINT) if name not in posteriors]:
        raise DataError(f"no posteriors of {missing[0]!r}: probe it too (`dvc repro`)")
    tables = []
    for task, spec in tasks.items():
        if spec.kind != "classification":
            continue
        held_out = _held_out(task, adata, groups, folds, posteriors)
        if isinstance(held_out, str):
            tqdm.write(f"{adata.uns['source']}: task {task!r} left out: {held_out}")
        else:
            tables.append(decompose(held_out, max_clusters).assign(task=task))
    if not tables:
        return pd.DataFrame(columns=["task", *COLUMNS])
    table = pd.concat(tables, ignore_index=True)
    return add_remark(table[["task", *table.columns.drop("task")]], adata.uns)


def _held_out(
    task: str,
    adata: ad.AnnData,
    groups: Shaped[np.ndarray, " obs"],
    folds: Sequence[Fold],
    posteriors: Mapping[str, _ByFold],
) -> HeldOutPosteriors | str:
    """Return labels and posteriors of the scored test rows, or why they cannot be decomposed."""
    tests = np.concatenate([np.flatnonzero(fold.test) for fold in folds])
    donor = adata.obs["donor"].astype(str).to_numpy()
    if len(np.unique(donor[tests])) > 1:
        groups = donor  # recalibration is across donors, also where splits leave out blocks
    labels = task_labels(adata, task).cat
    codes = labels.codes.to_numpy().astype(np.int64)
    prior = _prior(codes, len(labels.categories), folds)
    scored = codes[tests] >= 0
    scored[scored] = prior[scored, codes[tests[scored]]] > 0
    rows = tests[scored]
    y = codes[rows]
    for what, names in (("classes", y), ("donors (sections, blocks)", groups[rows])):
        if (count := len(np.unique(names))) < 2:  # noqa: PLR2004 - an estimate needs two of both
            return (
                f"labelled test observations of {count} {what}, two needed (a class counts only if "
                "training observations have it)"
            )
    of_task = _of_task(posteriors, task, folds, scored)
    return HeldOutPosteriors(
        y, donor[rows], groups[rows], prior[scored], **of_task, cross_validated=len(folds) > 1
    )


def _prior(
    codes: Int[np.ndarray, " obs"], classes: int, folds: Sequence[Fold]
) -> Float64[np.ndarray, "tests classes"]:
    """Return each class's share among labelled training rows, for the test rows of each fold."""
    priors = []
    for fold in folds:
        counts = np.bincount(codes[fold.probe & (codes >= 0)], minlength=classes)
        shares = counts / max(counts.sum(), 1)
        priors.append(np.repeat(shares[None], np.count_nonzero(fold.test), axis=0))
    return np.concatenate(priors)


def _of_task(
    posteriors: Mapping[str, _ByFold],
    task: str,
    folds: Sequence[Fold],
    scored: Bool[np.ndarray, " tests"],
) -> dict[str, Any]:
    """Return the posteriors of one task, and names of probes, as fields of `HeldOutPosteriors`."""
    p, probes = {}, {}
    for method, by_fold in posteriors.items():
        keys = [f"{task}/{fold.name}/probe" for fold in folds]
        if missing := [key for key in keys if key not in by_fold]:
            raise DataError(
                f"the posteriors of {method!r} have no {missing[0]!r}, the name of a probe: probe "
                "it again (`dvc repro`)"
            )
        probes[method] = _SEPARATOR.join(sorted({str(by_fold[key]) for key in keys}))
        p[method] = np.concatenate([by_fold[f"{task}/{fold.name}"] for fold in folds])[scored] / 255
    pair: dict[Key, str] = {(PAIR, f"I_{name}"): probes.pop(name) for name in UNIMODAL}
    pair[PAIR, "I_joint"] = probes[JOINT]
    named = pair | {(method, "I"): probe for method, probe in probes.items()}
    experts = {name: p.pop(name) for name in UNIMODAL}
    return experts | {"joint": p[JOINT], "methods": p, "probes": named}
