"""The information of every classification task of a data set, from probes' posteriors."""

from collections.abc import Mapping, Sequence

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64, Int, Shaped
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import UNIMODAL
from cell_synergy.data.config import Task
from cell_synergy.data.remarks import remarked
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.information.decompose import COLUMNS, HeldOut, decompose

JOINT = "concat"  # whose best probe on inner folds stands for the raw pair
Posteriors = Mapping[str, Mapping[str, np.ndarray]]


def information(
    units: ad.AnnData,
    groups: Shaped[np.ndarray, " obs"],
    folds: Sequence[Fold],
    tasks: Mapping[str, Task],
    posteriors: Posteriors,
    cells: int,
) -> pd.DataFrame:
    """Decompose the information about every task of two classes in two donors.

    Of one donor, in two sections or blocks. A task whose labelled test units have fewer says
    nothing that could be estimated: it is left out, and a line says so.

    Parameters
    ----------
    units
        Labels, and the `donor` of each unit.
    groups
        What a split never divides; of several donors the donors count.
    folds
        The splits; each has its test units scored.
    tasks
        Of the data set; regressions have no posteriors and are left out.
    posteriors
        By method and `<task>/<fold>`, in 255ths, as probes leave them: of both experts, of `concat`
        and of any others.
    cells
        In how many cells the units of one modality are gathered, at most.

    Returns
    -------
    One row per task, method and quantity; see `information.decompose`. Regressions have none.
    """
    if lacking := [name for name in (*UNIMODAL, JOINT) if name not in posteriors]:
        raise DataError(f"no posteriors of {lacking[0]!r}: probe it too (`dvc repro`)")
    tests = np.concatenate([np.flatnonzero(fold.test) for fold in folds])
    donor = units.obs["donor"].astype(str).to_numpy()
    if len(np.unique(donor[tests])) > 1:
        groups = donor  # where blocks are left out too: posteriors are recalibrated on other donors
    tables = []
    for task, spec in tasks.items():
        if spec.kind != "classification":
            continue
        codes = units.obs[task].cat.codes.to_numpy().astype(np.int64)
        labelled = codes[tests] >= 0
        rows = tests[labelled]
        if few := _too_few(codes[rows], groups[rows]):
            tqdm.write(f"{units.uns['source']}: task {task!r} left out: {few}")
            continue
        said = {name: _of_task(own, task, folds)[labelled] for name, own in posteriors.items()}
        pair = {name: said.pop(name) for name in UNIMODAL}
        held = HeldOut(
            codes[rows], donor[rows], groups[rows], **pair, joint=said[JOINT], methods=said,
            in_turn=len(folds) > 1,
        )  # fmt: skip
        tables.append(decompose(held, cells).assign(task=task))
    if not tables:
        return pd.DataFrame(columns=["task", *COLUMNS])
    table = pd.concat(tables, ignore_index=True)
    return remarked(table[["task", *table.columns.drop("task")]], units.uns)


def _of_task(
    own: Mapping[str, np.ndarray], task: str, folds: Sequence[Fold]
) -> Float64[np.ndarray, "tests classes"]:
    """Return a method's posteriors of all test units."""
    return np.concatenate([own[f"{task}/{fold.name}"] for fold in folds]) / 255


def _too_few(codes: Int[np.ndarray, " obs"], groups: Shaped[np.ndarray, " obs"]) -> str:
    """Say why a task has no information that can be estimated; "" if it has."""
    for what, names in (("classes", codes), ("donors (sections, blocks)", groups)):
        if (count := len(np.unique(names))) < 2:  # noqa: PLR2004 - nothing to tell, or to fit on
            return f"labelled test units of {count} {what}, two needed"
    return ""
