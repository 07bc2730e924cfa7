"""What is told of tasks that have no answer on the folds of a data set."""

from collections.abc import Iterator, Sequence

import anndata as ad
import numpy as np
import pandas as pd
from tqdm import tqdm

from cell_synergy.core.labels import some
from cell_synergy.data.config import DatasetConfig, Task
from cell_synergy.data.splits import Fold

_LEAST = 2  # labelled training units, so that some can choose the penalty


def of_tasks(pairs: ad.AnnData, dataset: DatasetConfig, split: Sequence[Fold]) -> Iterator[str]:
    """Tell of tasks that have no answer on these folds: no label to learn from, or to score.

    Donors without a label of a task are named in the log.
    """
    name = str(pairs.uns["source"])
    donor = pairs.obs["donor"].astype(str).to_numpy()
    for task, spec in dataset.tasks.items():
        codes = _codes(pairs, task, spec)
        if codes is None or not split:
            continue
        known = codes >= 0
        what = f"{name}: task {task!r}"
        if not known.any():
            yield f"{what}: no unit has a label; drop the task, or give labels"
            continue
        bare = sorted(set(donor) - set(donor[known]))
        if bare and spec.kind != "classification":  # of which `classes` has told
            tqdm.write(f"{what}: no unit of {some(bare)} has a label")
        told = list(_of_one_task(what, codes, donor, split))
        yield from told
        if spec.kind == "classification" and not told:
            classes = pairs.obs[task].cat.categories.astype(str).tolist()
            yield from _unlearnt(what, codes, classes, donor, split)


def _codes(pairs: ad.AnnData, task: str, spec: Task) -> np.ndarray | None:
    """Return the class of each unit, 0 where a regression has a value, -1 where there is none.

    None if the task has all values, or was told of already.
    """
    if spec.kind == "classification":
        labels = pairs.obs.get(task)
        known = labels is not None and isinstance(labels.dtype, pd.CategoricalDtype)
        return labels.cat.codes.to_numpy().astype(int) if known else None
    if spec.kind == "gene_panel" or "cell_type_ratio" not in pairs.obsm:
        return None
    shares = pairs.obsm["cell_type_ratio"].to_numpy(dtype=np.float64)
    return np.where(np.isfinite(shares).all(axis=1), 0, -1)


def _of_one_task(
    what: str, codes: np.ndarray, donor: np.ndarray, split: Sequence[Fold]
) -> Iterator[str]:
    known = codes >= 0
    have = f"labelled are units of {some(sorted(set(donor[known])))}"
    if not any((fold.test & known).any() for fold in split):
        tested = some(sorted({name for fold in split for name in set(donor[fold.test])}))
        yield f"{what}: no unit of those who are scored, {tested}, has a label ({have})"
    if few := [fold.name for fold in split if (fold.probe & known).sum() < _LEAST]:
        yield (
            f"{what}: in fold {some(few)} no two training units have a label ({have}); label "
            "further donors (sections) who are trained on, or drop the task"
        )


def _unlearnt(
    what: str, codes: np.ndarray, classes: Sequence[str], donor: np.ndarray, split: Sequence[Fold]
) -> Iterator[str]:
    """Tell of classes that are scored and never learnt, and of folds that learn one class."""
    pairs = [(set(codes[fold.probe]) - {-1}, set(codes[fold.test]) - {-1}) for fold in split]
    if single := [f.name for f, (own, _) in zip(split, pairs, strict=True) if len(own) == 1]:
        yield (
            f"{what}: training donors of fold {some(single)} have one class only, a "
            "classification needs two; give them others, or drop the task"
        )
    scored = set().union(*(test for _, test in pairs))
    learnt = set().union(*(own & test for own, test in pairs))
    for code in sorted(scored - learnt):
        whose = some(sorted(set(donor[codes == code])))
        yield (
            f"{what}: class {classes[code]!r} is in no donor who is trained on, only in {whose}; "
            "give one of them a training role, or put the class into `exclude`"
        )
