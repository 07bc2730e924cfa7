"""Probe tasks: targets, train/test problems of a fold, and predictions of any probe."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import DONOR
from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.paired import regression_target, task_labels
from cell_synergy.data.splits import Fold, draw_validation_mask, inner_folds

_TEST_STRIPE = 0.25  # share of each training section on which the donor classifier is tested


@dataclass(frozen=True)
class Target:
    """The target of one task, for every observation.

    Attributes
    ----------
    name
        Name of the task.
    labelled
        Mask of the observations that have a label.
    codes
        Class numbers of a classification; -1 without a label.
    classes
        Class names; empty for a regression.
    outputs
        Target values of a regression.
    """

    name: str
    labelled: Bool[np.ndarray, " obs"]
    codes: Int[np.ndarray, " obs"]
    classes: tuple[str, ...]
    outputs: Float[np.ndarray, "obs outputs"]


@dataclass(frozen=True)
class ProbeTask:
    """The train/test problem of one target on one fold, without the labels of test donors.

    Attributes
    ----------
    train
        Indices of the training rows.
    cv_folds
        Inner fold of each training row, for the cross-validation that selects the regularisation.
    test
        Indices of the rows to predict.
    present
        Codes of the classes that training rows have; empty for a regression.
    y
        Labels of the training rows: index of the class in `present`, or values.
    """

    train: Int[np.ndarray, " train"]
    cv_folds: Int[np.ndarray, " train"]
    test: Int[np.ndarray, " test"]
    present: Int[np.ndarray, " classes"]
    y: Int[np.ndarray, " train"] | Float[np.ndarray, "train outputs"]

    @classmethod
    def of(
        cls,
        target: Target,
        train: Int[np.ndarray, " train"],
        cv_folds: Int[np.ndarray, " train"],
        test: Int[np.ndarray, " test"],
    ) -> "ProbeTask":
        """Return the train/test problem of a target for given training and test rows.

        Parameters
        ----------
        target, train, cv_folds, test
            Target of every observation; indices of training rows, which have labels; inner fold of
            each of them; and indices of the rows to predict.
        """
        if not target.classes:
            return cls(train, cv_folds, test, np.zeros(0, dtype=np.int64), target.outputs[train])
        present, y = np.unique(target.codes[train], return_inverse=True)
        return cls(train, cv_folds, test, present, y)

    @property
    def classes(self) -> int:
        """Number of classes; 0 for a regression."""
        return len(self.present)

    @property
    def outputs(self) -> int:
        """Number of columns of a prediction: of classes, or of values."""
        return self.classes or self.y.shape[-1]


@dataclass(frozen=True)
class Selection:
    """A regularisation selected by inner cross-validation.

    Attributes
    ----------
    penalty
        The selected L2 penalty, or weight decay of the nonlinear probe.
    cv_score
        Mean score on the inner folds, which compares representations without using a test donor:
        log-likelihood per row of a classification, R2 of a regression.
    sensitivity
        Best score minus the lower score of the neighbouring penalties on the grid; NaN if there is
        no other penalty.
    cv_predicted
        Predictions for the training rows by the models of the inner folds that left them out, in
        the layout of `Prediction.predicted`; NaN in rows that no such model predicted.
    block_factors
        Factors by which the linear probe multiplies the blocks; empty for other probes.
    """

    penalty: float
    cv_score: float
    sensitivity: float
    cv_predicted: Float[np.ndarray, "train outputs"]
    block_factors: tuple[float, ...] = ()

    @classmethod
    def best(
        cls,
        penalties: list[float],
        scores: Float[np.ndarray, " penalties"],
        cv_predicted: Float[np.ndarray, "penalties train outputs"],
    ) -> "Selection":
        """Select the penalty with the highest score; of penalties with equal scores, the largest.

        Parameters
        ----------
        penalties
            Penalties of the grid, largest first.
        scores
            Mean score on the inner folds with each penalty, in the order of `penalties`.
        cv_predicted
            Predictions for the training rows with each penalty by the models of the inner folds
            that left them out; those of the selected penalty are kept.
        """
        best = int(scores.argmax())
        neighbours = [scores[i] for i in (best - 1, best + 1) if 0 <= i < len(penalties)]
        drop = float(scores[best] - min(neighbours)) if neighbours else float("nan")
        return cls(penalties[best], float(scores[best]), drop, cv_predicted[best])

    def columns(self) -> dict[str, float]:
        """Return the selection as columns of a score table."""
        return {"strength": self.penalty, "sensitivity": self.sensitivity}


@dataclass(frozen=True)
class Prediction:
    """Predictions of a probe for the test rows of a task, and the convergence of its fit.

    Attributes
    ----------
    predicted
        Class probabilities in the order of `ProbeTask.present`, or values.
    selection
        The selected regularisation.
    gradient_norm
        Largest absolute entry of the objective's gradient at the last iterate; the gradient of
        logistic regression is preconditioned.
    iterations
        Number of optimiser steps; 0 for a closed form.
    """

    predicted: Float[np.ndarray, "test outputs"]
    selection: Selection
    gradient_norm: float
    iterations: int

    def columns(self) -> dict[str, float]:
        """Return selection and convergence of the fit as columns of a score table."""
        fit = {"gradient_norm": self.gradient_norm, "iterations": self.iterations}
        return self.selection.columns() | fit


def task_targets(paired: PairedDataset, tasks: Mapping[str, Task]) -> list[Target]:
    """Return the target of every task, in the order of the tasks.

    Parameters
    ----------
    paired
        The data set with its labels. If its embeddings are standardised per donor, so are
        regression targets.
    tasks
        Configuration of each task, by name.

    Raises
    ------
    DataError
        If a task is a gene panel, and no gene is marked as panel.
    """
    adata, targets = paired.adata, []
    for name, task in tasks.items():
        if task.kind == "classification":
            column = task_labels(adata, name).cat
            codes = column.codes.to_numpy().astype(np.int64)
            empty = np.zeros((adata.n_obs, 0))
            targets.append(
                Target(name, codes >= 0, codes, tuple(map(str, column.categories)), empty)
            )
        else:
            values = regression_target(adata, name, task)
            labelled = np.isfinite(values).all(axis=1)
            if paired.mode == "donor":
                y = values[labelled].astype(np.float32)
                values = np.full_like(values, np.nan)
                values[labelled] = standardise(
                    y, np.ones(len(y), dtype=bool), paired.groups[labelled], "donor"
                )
            targets.append(Target(name, labelled, np.full(adata.n_obs, -1), (), values))
    return targets


def make_probe_task(
    target: Target, fold: Fold, paired: PairedDataset, n_inner_folds: int
) -> ProbeTask:
    """Return training rows with their labels and inner folds, and the test rows, of a target.

    Parameters
    ----------
    target
        Target of every observation.
    fold
        Masks of the rows; unlabelled training rows are dropped, test rows are all kept.
    paired
        The data set, whose groups and coordinates determine the inner folds.
    n_inner_folds
        Number of inner folds, at most one per group (donor, section or block), as no group is
        divided; if all training rows are of one group, it is cut into stripes.

    Raises
    ------
    DataError
        If no training row has a label.
    """
    train = np.flatnonzero(fold.probe & target.labelled)
    if len(train) == 0:
        raise DataError(
            f"task {target.name!r}: no training observation of fold {fold.name!r} has "
            "a label; give labelled donors a training role, or drop the task"
        )
    coords = paired.adata.obsm["spatial"][train]
    cv = inner_folds(paired.groups[train], coords, n_inner_folds)
    return ProbeTask.of(target, train, cv, np.flatnonzero(fold.test))


def make_donor_task(
    fold: Fold, paired: PairedDataset, n_inner_folds: int
) -> tuple[Target, ProbeTask] | None:
    """Return the control task `donor`: predict the donor of an observation.

    Test rows are a stripe at the end of each training section, because a classifier cannot predict
    a donor without training rows. A representation without donor effects scores at chance.

    Parameters
    ----------
    fold
        The fold, whose test donors are not used.
    paired
        The data set.
    n_inner_folds
        Number of inner folds: stripes of equally many rows within each donor, section or block.

    Returns
    -------
    :
        Target and train/test problem; None if the fold trains on one donor only.
    """
    mask = fold.probe
    names, codes = np.unique(paired.donor_labels, return_inverse=True)
    empty = np.zeros((len(codes), 0))
    target = Target(DONOR, mask, np.where(mask, codes, -1), tuple(map(str, names)), empty)
    if len(np.unique(codes[mask])) < 2:  # noqa: PLR2004 - a classification needs two classes
        return None
    test_mask = draw_validation_mask(paired.adata, mask, _TEST_STRIPE)
    train = np.flatnonzero(mask & ~test_mask)
    cv = _stripes(paired, train, n_inner_folds)
    return target, ProbeTask.of(target, train, cv, np.flatnonzero(test_mask))


def _stripes(
    paired: PairedDataset, rows: Int[np.ndarray, " rows"], count: int
) -> Int[np.ndarray, " rows"]:
    """Assign the rows of each group (donor, section or block) to `count` stripes, from 0."""
    groups: Shaped[np.ndarray, " rows"] = paired.groups[rows]
    stripes = np.zeros(len(rows), dtype=np.int64)
    for group in np.unique(groups):
        mask = groups == group
        coords = paired.adata.obsm["spatial"][rows[mask]]
        stripes[mask] = inner_folds(groups[mask], coords, count)
    return stripes
