"""Check of the labels in every fold: whether a probe of each task can be fitted and scored."""

from collections.abc import Iterator, Sequence

import anndata as ad
import numpy as np
import pandas as pd
from tqdm import tqdm

from cell_synergy.core.labels import preview
from cell_synergy.data.config import DatasetConfig, Task
from cell_synergy.data.splits import Fold

_MIN_LABELLED = 2  # training observations; cross-validation of the penalty needs two


def task_problems(
    pairs: ad.AnnData, dataset: DatasetConfig, folds: Sequence[Fold]
) -> Iterator[str]:
    """Yield a message for each reason why a task's probe cannot be fitted or scored in a fold.

    Reasons: no label at all, or none in any test set; in a fold, fewer than two labelled training
    observations or a single training class; a tested class that is in the training set of no fold
    that tests it. Donors without a label are logged.

    Parameters
    ----------
    pairs
        The joined pairs; classification tasks without a categorical label column are skipped.
    dataset
        Configuration of the data set.
    folds
        The folds of the split; empty if the split is impossible.
    """
    name = str(pairs.uns["source"])
    donors = pairs.obs["donor"].astype(str).to_numpy()
    for task, spec in dataset.tasks.items():
        codes = _label_codes(pairs, task, spec)
        if codes is None or not folds:
            continue
        labelled = codes >= 0
        where = f"{name}: task {task!r}"
        if not labelled.any():
            yield f"{where}: no observation has a label; drop the task, or give labels"
            continue
        unlabelled = sorted(set(donors) - set(donors[labelled]))
        if unlabelled and spec.kind != "classification":  # `as_classes` has logged these
            tqdm.write(f"{where}: no observation of {preview(unlabelled)} has a label")
        messages = list(_unlabelled_folds(where, codes, donors, folds))
        yield from messages
        if spec.kind == "classification" and not messages:
            classes = pairs.obs[task].cat.categories.astype(str).tolist()
            yield from _class_problems(where, codes, classes, donors, folds)


def _label_codes(pairs: ad.AnnData, task: str, spec: Task) -> np.ndarray | None:
    """Return the class of each observation (0 for any finite regression target), -1 if missing.

    The result is None if the target cannot have missing values, or its labels were refused before.
    """
    if spec.kind == "classification":
        labels = pairs.obs.get(task)
        if labels is None or not isinstance(labels.dtype, pd.CategoricalDtype):
            return None
        return np.asarray(labels.cat.codes, dtype=int)
    if spec.kind == "gene_panel" or "cell_type_ratio" not in pairs.obsm:
        return None
    shares = pairs.obsm["cell_type_ratio"].to_numpy(dtype=np.float64)
    return np.where(np.isfinite(shares).all(axis=1), 0, -1)


def _unlabelled_folds(
    where: str, codes: np.ndarray, donors: np.ndarray, folds: Sequence[Fold]
) -> Iterator[str]:
    """Yield a message if no test observation, or too few training observations have a label."""
    labelled = codes >= 0
    labelled_donors = preview(sorted(set(donors[labelled])))
    if not any((fold.test & labelled).any() for fold in folds):
        tested = preview(sorted({donor for fold in folds for donor in set(donors[fold.test])}))
        yield (
            f"{where}: no observation of the scored donors, {tested}, has a label (labelled are "
            f"observations of {labelled_donors})"
        )
    if few := [fold.name for fold in folds if (fold.probe & labelled).sum() < _MIN_LABELLED]:
        yield (
            f"{where}: in fold {preview(few)} fewer than {_MIN_LABELLED} training observations "
            f"have a label (labelled are observations of {labelled_donors}); label further "
            "training donors (sections), or drop the task"
        )


def _class_problems(
    where: str,
    codes: np.ndarray,
    classes: Sequence[str],
    donors: np.ndarray,
    folds: Sequence[Fold],
) -> Iterator[str]:
    """Yield a message for folds with one training class, and for classes in test donors only."""
    train_codes = [set(codes[fold.probe]) - {-1} for fold in folds]
    test_codes = [set(codes[fold.test]) - {-1} for fold in folds]
    single = [fold.name for fold, train in zip(folds, train_codes, strict=True) if len(train) == 1]
    if single:
        yield (
            f"{where}: training donors of fold {preview(single)} have one class only, a "
            "classification needs two; give them others, or drop the task"
        )
    scored = set().union(*test_codes)
    trained = set().union(
        *(train & test for train, test in zip(train_codes, test_codes, strict=True))
    )
    for code in sorted(scored - trained):
        class_donors = preview(sorted(set(donors[codes == code])))
        yield (
            f"{where}: class {classes[code]!r} is in no training donor, only in {class_donors}; "
            "give one of them a training role, or put the class into `exclude`"
        )
