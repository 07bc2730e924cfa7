"""What a probe is asked, and what it answers: the same for linear and nonlinear probes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import DONOR
from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.paired import target
from cell_synergy.data.splits import Fold, held, inner_folds

_STRIPE = 0.25  # share of each training section on which the donor is told


@dataclass(frozen=True)
class Goal:
    """What one task asks of every unit.

    Attributes
    ----------
    name
        Of the task.
    labelled
        Units that have a label.
    codes
        Class numbers (classification); -1 without a label.
    classes
        Class names; empty for a regression.
    target
        Targets (regression).
    """

    name: str
    labelled: Bool[np.ndarray, " obs"]
    codes: Int[np.ndarray, " obs"]
    classes: tuple[str, ...]
    target: Float[np.ndarray, "obs outputs"]


@dataclass(frozen=True)
class Question:
    """One goal on one fold, without the test donors' labels.

    Attributes
    ----------
    train
        Rows to learn from.
    inner
        Inner fold of each training row; leaving each out in turn chooses the regularisation.
    test
        Rows to predict.
    present
        The goal's numbers of the classes that training rows have; empty for a regression.
    y
        Of the training rows: place of the class in `present`, or values.
    """

    train: Int[np.ndarray, " train"]
    inner: Int[np.ndarray, " train"]
    test: Int[np.ndarray, " test"]
    present: Int[np.ndarray, " classes"]
    y: Int[np.ndarray, " train"] | Float[np.ndarray, "train outputs"]

    @classmethod
    def of(
        cls,
        goal: Goal,
        train: Int[np.ndarray, " train"],
        inner: Int[np.ndarray, " train"],
        test: Int[np.ndarray, " test"],
    ) -> "Question":
        """Ask a goal's labels of these rows."""
        if not goal.classes:
            return cls(train, inner, test, np.zeros(0, dtype=np.int64), goal.target[train])
        present, y = np.unique(goal.codes[train], return_inverse=True)
        return cls(train, inner, test, present, y)

    @property
    def classes(self) -> int:
        """Number of classes; 0 for a regression."""
        return len(self.present)


@dataclass(frozen=True)
class Chosen:
    """A penalty, and the mean score on inner folds that it was chosen for.

    `inner` is the log-likelihood per unit (classification) or R2 (regression): it says which of two
    representations is better without looking at a test donor. `sensitivity` is how much lower the
    worse of the neighbouring penalties scores; NaN if there is none.
    """

    strength: float
    inner: float
    sensitivity: float

    @classmethod
    def best(cls, grid: list[float], scores: Float[np.ndarray, " strengths"]) -> "Chosen":
        """Choose the highest score; of equal ones the strongest penalty, which comes first."""
        best = int(scores.argmax())
        beside = [scores[place] for place in (best - 1, best + 1) if 0 <= place < len(grid)]
        drop = float(scores[best] - min(beside)) if beside else float("nan")
        return cls(grid[best], float(scores[best]), drop)


@dataclass(frozen=True)
class Answer:
    """What a probe says of the test rows, and how it got there.

    Attributes
    ----------
    predicted
        Class probabilities, or values.
    chosen
        Its regularisation.
    gradient_norm
        Largest entry of the objective's gradient where the fit ended.
    iterations
        Of the optimiser; 0 for a closed form.
    """

    predicted: Float[np.ndarray, "test outputs"]
    chosen: Chosen
    gradient_norm: float
    iterations: int


def goals(paired: PairedDataset, tasks: Mapping[str, Task]) -> list[Goal]:
    """Return what each task asks, in their order.

    Targets of a regression are standardised per donor where the embeddings are.
    """
    units, found = paired.adata, []
    for name, task in tasks.items():
        if task.kind == "classification":
            column = units.obs[name].cat
            codes = column.codes.to_numpy().astype(np.int64)
            empty = np.zeros((units.n_obs, 0))
            found.append(Goal(name, codes >= 0, codes, tuple(map(str, column.categories)), empty))
        else:
            values = target(units, name, task)
            labelled = np.isfinite(values).all(axis=1)
            if paired.mode == "donor":
                own = values[labelled].astype(np.float32)
                values = np.full_like(values, np.nan)
                values[labelled] = standardise(
                    own, np.ones(len(own), dtype=bool), paired.groups[labelled], "donor"
                )
            found.append(Goal(name, labelled, np.full(units.n_obs, -1), (), values))
    return found


def ask(goal: Goal, fold: Fold, paired: PairedDataset, inner: int) -> Question:
    """Return the question of a goal on a fold, with `inner` inner folds of whole donors.

    Raises
    ------
    DataError
        If no training unit has a label.
    """
    train = np.flatnonzero(fold.probe & goal.labelled)
    if len(train) == 0:
        raise DataError(
            f"task {goal.name!r}: no training unit of fold {fold.name!r} has a label; "
            "give labelled donors a training role, or drop the task"
        )
    dealt = inner_folds(paired.groups[train], paired.adata.obsm["spatial"][train], inner)
    return Question.of(goal, train, dealt, np.flatnonzero(fold.test))


def ask_donor(fold: Fold, paired: PairedDataset, inner: int) -> tuple[Goal, Question] | None:
    """Return the question whose tissue a unit is, or None where the fold trains on one donor only.

    Learnt on part of each training section and asked on a stripe at its end, since a donor whom
    the probe never saw cannot be named. A representation that is free of the donor is at chance.
    """
    own = fold.probe
    names, codes = np.unique(paired.owners, return_inverse=True)
    nothing = np.zeros((len(codes), 0))
    goal = Goal(DONOR, own, np.where(own, codes, -1), tuple(map(str, names)), nothing)
    if len(np.unique(codes[own])) < 2:  # noqa: PLR2004 - nobody to tell apart
        return None
    asked = held(paired.adata, own, _STRIPE)
    train = np.flatnonzero(own & ~asked)
    stripes = _stripes(paired, train, inner)
    return goal, Question.of(goal, train, stripes, np.flatnonzero(asked))


def _stripes(
    paired: PairedDataset, rows: Int[np.ndarray, " rows"], count: int
) -> Int[np.ndarray, " rows"]:
    """Deal each donor's rows out to `count` stripes."""
    groups: Shaped[np.ndarray, " rows"] = paired.groups[rows]
    dealt = np.zeros(len(rows), dtype=np.int64)
    for group in np.unique(groups):
        own = groups == group
        dealt[own] = inner_folds(groups[own], paired.adata.obsm["spatial"][rows[own]], count)
    return dealt
