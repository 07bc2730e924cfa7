"""Judge one representation: fit probes on training donors, score each test donor.

The probe is part of every score and named with it. Its regularisation is chosen on inner donor
folds of the training units; test donors are never seen before they are scored.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int
from pydantic import Field, PositiveFloat, PositiveInt

from cell_synergy.core.config import Config
from cell_synergy.core.errors import DataError
from cell_synergy.data.units.dataset import Dataset
from cell_synergy.data.units.embeddings import standardise
from cell_synergy.data.units.pairs import target
from cell_synergy.data.units.splits import Fold, inner_folds
from cell_synergy.data.units.tissue import Tissue
from cell_synergy.downstream import metrics
from cell_synergy.downstream.probes import Design, Linear

Representation = Callable[[Fold, int], Float32[np.ndarray, "units d"]]


class Probe(Config):
    """The linear probe.

    Attributes
    ----------
    weakest, strongest, strengths
        Grid of penalties, evenly spaced on a log scale.
    inner_folds
        Folds of training donors that choose among them.
    tolerance, iterations
        When the logistic probe's optimiser stops: at this gradient, or after so many
        conjugate-gradient steps.
    """

    weakest: PositiveFloat
    strongest: PositiveFloat
    strengths: PositiveInt
    inner_folds: Annotated[int, Field(ge=2)]
    tolerance: PositiveFloat
    iterations: PositiveInt

    def grid(self) -> list[float]:
        """Return the penalties, strongest first."""
        return [float(s) for s in np.geomspace(self.strongest, self.weakest, self.strengths)]


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
    labelled: Bool[np.ndarray, " units"]
    codes: Int[np.ndarray, " units"]
    classes: tuple[str, ...]
    target: Float[np.ndarray, "units outputs"]


@dataclass(frozen=True)
class Judged:
    """Scores of one method, and what the first seed's probes said of every test unit.

    Attributes
    ----------
    scores
        One row per task, metric, fold, donor and seed. `inner` is the score on inner folds that
        chose the penalty `strength`. `sensitivity` is how much lower that score is one step of the
        grid away, on the worse side, in the same units; it is empty where the grid has one step.
        What is the fit's, `OF_THE_FIT`, stands in the first row of a fit and metric alone.
    posteriors
        `<task>/<fold>`: class probabilities of the fold's test units, in 255ths.
    """

    scores: pd.DataFrame
    posteriors: dict[str, np.ndarray]


def goals(units: ad.AnnData, dataset: Dataset) -> list[Goal]:
    """Return what each task of a data set asks, in the order of params.yaml."""
    found = []
    for name, task in dataset.tasks.items():
        if task.kind == "classification":
            column = units.obs[name].cat
            codes = column.codes.to_numpy().astype(np.int64)
            empty = np.zeros((units.n_obs, 0))
            found.append(Goal(name, codes >= 0, codes, tuple(map(str, column.categories)), empty))
        else:
            values = target(units, name, task)
            labelled = np.isfinite(values).all(axis=1)
            found.append(Goal(name, labelled, np.full(units.n_obs, -1), (), values))
    return found


def judge(
    name: str,
    tissue: Tissue,
    dataset: Dataset,
    seeds: list[int],
    represent: Representation,
    probe: Probe,
) -> Judged:
    """Score the representation `represent(fold, seed)` of all units on every task.

    The penalty is chosen with the first seed's representation and kept for the others.

    Raises
    ------
    DataError
        If a representation is not finite, or no test unit has a label in any task.
    """
    rows: list[dict[str, object]] = []
    posteriors: dict[str, np.ndarray] = {}
    asked = goals(tissue.units, dataset)
    for fold in tissue.folds:
        chosen: dict[str, Chosen] = {}
        for seed in seeds:
            z = standardise(represent(fold, seed), fold.align, tissue.groups, tissue.mode)
            if not np.isfinite(z).all():
                raise DataError(
                    f"{name}: the embedding of fold {fold.name!r}, seed {seed} is not finite; "
                    "train it again, with a smaller lr"
                )
            designs: dict[tuple[bytes, bytes], Design] = {}
            for goal in asked:
                fit = _Fit(z, designs, goal, fold, tissue, probe)
                if goal.name not in chosen:
                    chosen[goal.name] = fit.choose()
                linear, predicted = fit.final(chosen[goal.name].strength)
                if seed == seeds[0] and goal.classes:
                    key = f"{goal.name}/{fold.name}"
                    posteriors[key] = np.round(255 * predicted).astype(np.uint8)
                place = {
                    "task": goal.name,
                    "fold": fold.name,
                    "seed": seed,
                    **vars(chosen[goal.name]),
                    "gradient_norm": linear.gradient_norm,
                    "iterations": linear.iterations,
                }
                rows += [{**place, **scored} for scored in fit.scores(predicted)]
    if not rows:
        raise DataError(f"{name}: no test unit has a label; check `roles` against the labels")
    scores = pd.DataFrame(rows)
    scores.insert(0, "dataset", tissue.units.uns["source"])
    scores.insert(1, "method", name)
    scores["probe"] = PROBES[tissue.mode]
    scores.loc[scores.duplicated(["task", "metric", "fold", "seed"]), OF_THE_FIT] = np.nan
    return Judged(scores[COLUMNS], posteriors)


COLUMNS = [
    "dataset", "method", "task", "metric", "probe", "fold", "donor", "seed", "value", "n",
    "inner", "classes", "strength", "sensitivity", "gradient_norm", "iterations",
]  # fmt: skip
OF_THE_FIT = ["inner", "strength", "sensitivity", "gradient_norm", "iterations"]
PROBES = {"train": "linear", "donor": "linear, transductive"}


@dataclass(frozen=True)
class Chosen:
    """A penalty, and the mean score on inner donor folds that it was chosen for.

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


class _Fit:
    """One task on one fold of one representation."""

    def __init__(
        self,
        z: np.ndarray,
        designs: dict[tuple[bytes, bytes], Design],
        goal: Goal,
        fold: Fold,
        tissue: Tissue,
        probe: Probe,
    ) -> None:
        self.goal, self.probe, self.z, self.designs = goal, probe, z, designs
        self.train = np.flatnonzero(fold.probe & goal.labelled)
        self.test = np.flatnonzero(fold.test)
        self.tissue = tissue
        self.target = goal.target
        if not goal.classes and tissue.mode == "donor":
            own = goal.labelled
            self.target = np.full_like(goal.target, np.nan)
            self.target[own] = standardise(
                goal.target[own].astype(np.float32), own[own], tissue.groups[own], "donor"
            )
        if len(self.train) == 0:
            raise DataError(
                f"task {goal.name!r}: no training unit of fold {fold.name!r} has a label; "
                "give labelled donors a training role, or drop the task"
            )
        self.classes = np.unique(goal.codes[self.train])

    def choose(self) -> Chosen:
        """Return the strength with the best mean inner score: log-likelihood, or R2.

        The axes of the design have seen held-out units too; a fit does not depend on its axes.
        """
        grid = self.probe.grid()
        inner = inner_folds(
            self.tissue.groups[self.train],
            self.tissue.units.obsm["spatial"][self.train],
            self.probe.inner_folds,
        )
        totals = np.zeros(len(grid))
        for number in np.unique(inner):
            rest, held_out = inner != number, self.train[inner == number]
            fits = self._fit(self._design(rest), self.train[rest], grid)
            x = self.z[held_out].astype(np.float64)
            totals += len(held_out) * np.array([self._inner_score(f, x, held_out) for f in fits])
        return Chosen.best(grid, totals / len(self.train))

    def _design(self, part: np.ndarray | None = None) -> Design:
        """Return the training units, or a part of them; tasks with the same units share it."""
        key = self.train.tobytes(), b"" if part is None else part.tobytes()
        if key not in self.designs:
            self.designs[key] = (
                Design.of(self.z[self.train]) if part is None else self._design().part(part)
            )
        return self.designs[key]

    def _fit(self, design: Design, rows: np.ndarray, strengths: list[float]) -> list[Linear]:
        if not self.goal.classes:
            return design.ridge(self.target[rows], strengths)
        codes = np.searchsorted(self.classes, self.goal.codes[rows])
        return design.logistic(
            codes, len(self.classes), strengths, self.probe.tolerance, self.probe.iterations
        )

    def _inner_score(self, linear: Linear, x: np.ndarray, rows: np.ndarray) -> float:
        if not self.goal.classes:
            r2 = metrics.regression(self.target[rows], linear.scores(x))["r2"]
            return float(np.nan_to_num(r2))  # without variation no strength is better
        codes = np.searchsorted(self.classes, self.goal.codes[rows])
        shares = linear.probabilities(x)[np.arange(len(rows)), codes]
        return float(np.log(np.maximum(shares, np.finfo(np.float64).tiny)).mean())

    def final(self, strength: float) -> tuple[Linear, Float[np.ndarray, "test outputs"]]:
        """Fit on all training units; predict every test unit, labelled or not."""
        (linear,) = self._fit(self._design(), self.train, [strength])
        if not self.goal.classes:
            return linear, linear.scores(self.z[self.test])
        probabilities = np.zeros((len(self.test), len(self.goal.classes)))
        probabilities[:, self.classes] = linear.probabilities(self.z[self.test])
        return linear, probabilities

    def scores(self, predicted: np.ndarray) -> Iterator[dict[str, object]]:
        """Yield one score per metric and test donor that has labelled units."""
        codes = self.goal.codes[self.train]
        prior = np.bincount(codes[codes >= 0], minlength=len(self.goal.classes)) / len(codes)
        donors = self.tissue.donor[self.test]
        labelled = self.goal.labelled[self.test]
        for donor in np.unique(donors[labelled]):
            own = (donors == donor) & labelled
            rows, count = self.test[own], 0
            if self.goal.classes:
                values = metrics.classification(self.goal.codes[rows], predicted[own], prior)
                count = len(np.unique(self.goal.codes[rows]))
            else:
                values = metrics.regression(self.target[rows], predicted[own])
            place = {"donor": donor, "n": len(rows), "classes": count}
            for metric, value in values.items():
                if not np.isnan(value):  # nothing to score on this donor: absent, not zero
                    yield {**place, "metric": metric, "value": value}
