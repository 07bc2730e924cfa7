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

from cell_synergy.config import Config
from cell_synergy.data.dataset import Dataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.pairs import target
from cell_synergy.data.splits import Fold, inner_folds
from cell_synergy.data.tissue import Tissue
from cell_synergy.downstream import metrics
from cell_synergy.downstream.probes import Gram, Linear
from cell_synergy.errors import DataError

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
        When the logistic probe's optimiser stops.
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
        One row per task, metric, fold, donor and seed.
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
        If no test unit has a label in any task.
    """
    rows: list[dict[str, object]] = []
    posteriors: dict[str, np.ndarray] = {}
    asked = goals(tissue.units, dataset)
    for fold in tissue.folds:
        chosen: dict[str, Chosen] = {}
        for seed in seeds:
            z = standardise(represent(fold, seed), fold.align, tissue.groups, tissue.mode)
            grams: dict[bytes, Gram] = {}
            for goal in asked:
                fit = _Fit(z, grams, goal, fold, tissue, probe)
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
                    "inner": chosen[goal.name].inner,
                    "strength": chosen[goal.name].strength,
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
    return Judged(scores[COLUMNS], posteriors)


COLUMNS = [
    "dataset", "method", "task", "metric", "probe", "fold", "donor", "seed", "value", "n",
    "inner", "classes", "strength", "gradient_norm", "iterations",
]  # fmt: skip


PROBES = {"train": "linear", "donor": "linear, transductive"}


@dataclass(frozen=True)
class Chosen:
    """A penalty, and the mean score on inner donor folds that it was chosen for.

    `inner` is the log-likelihood per unit (classification) or R2 (regression): it says which of two
    representations is better without looking at a test donor.
    """

    strength: float
    inner: float


class _Fit:
    """One task on one fold of one representation."""

    def __init__(
        self,
        z: np.ndarray,
        grams: dict[bytes, Gram],
        goal: Goal,
        fold: Fold,
        tissue: Tissue,
        probe: Probe,
    ) -> None:
        self.goal, self.probe, self.z, self.grams = goal, probe, z, grams
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
        """Return the strength with the best mean inner score: log-likelihood, or R2."""
        grid = self.probe.grid()
        inner = inner_folds(
            self.tissue.groups[self.train],
            self.tissue.units.obsm["spatial"][self.train],
            self.probe.inner_folds,
        )
        totals = np.zeros(len(grid))
        for number in np.unique(inner):
            train, held_out = self.train[inner != number], self.train[inner == number]
            gram = self._gram(train)
            for place, strength in enumerate(grid):
                linear = self._fit(gram, train, strength)
                totals[place] += self._inner_score(linear, held_out) * len(held_out)
        best = int(totals.argmax())
        return Chosen(grid[best], float(totals[best] / len(self.train)))

    def _gram(self, rows: np.ndarray) -> Gram:
        """Return the prepared data of these rows; tasks with the same labelled units share it."""
        key = rows.tobytes()
        if key not in self.grams:
            self.grams[key] = Gram(self.z[rows])
        return self.grams[key]

    def _fit(self, gram: Gram, rows: np.ndarray, strength: float) -> Linear:
        if not self.goal.classes:
            return gram.ridge(self.target[rows], strength)
        codes = np.searchsorted(self.classes, self.goal.codes[rows])
        return gram.logistic(
            codes, len(self.classes), strength, self.probe.tolerance, self.probe.iterations
        )

    def _inner_score(self, linear: Linear, rows: np.ndarray) -> float:
        if not self.goal.classes:
            r2 = metrics.regression(self.target[rows], linear.scores(self.z[rows]))["r2"]
            return float(np.nan_to_num(r2))  # without variation no strength is better
        codes = np.searchsorted(self.classes, self.goal.codes[rows])
        return float(np.log(linear.probabilities(self.z[rows])[np.arange(len(rows)), codes]).mean())

    def final(self, strength: float) -> tuple[Linear, Float[np.ndarray, "test outputs"]]:
        """Fit on all training units; predict every test unit, labelled or not."""
        linear = self._fit(self._gram(self.train), self.train, strength)
        if not self.goal.classes:
            return linear, linear.scores(self.z[self.test])
        probabilities = np.zeros((len(self.test), len(self.goal.classes)))
        probabilities[:, self.classes] = linear.probabilities(self.z[self.test])
        return linear, probabilities

    def scores(self, predicted: np.ndarray) -> Iterator[dict[str, object]]:
        """Yield one score per metric and test donor that has labelled units."""
        codes = self.goal.codes[self.train]
        prior = np.bincount(codes[codes >= 0], minlength=len(self.goal.classes)) / len(codes)
        donors = self.tissue.donor
        for donor in np.unique(donors[self.test]):
            own = (donors[self.test] == donor) & self.goal.labelled[self.test]
            rows = self.test[own]
            if len(rows) == 0:
                continue
            if self.goal.classes:
                y = self.goal.codes[rows]
                values = metrics.classification(y, predicted[own], prior)
                count = len(np.unique(y))
            else:
                values, count = metrics.regression(self.target[rows], predicted[own]), 0
            for metric, value in values.items():
                if np.isnan(value):  # nothing to score on this donor: absent, not zero
                    continue
                yield {
                    "metric": metric, "donor": donor, "value": value, "n": len(rows),
                    "classes": count,
                }  # fmt: skip
