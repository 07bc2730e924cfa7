"""Judge one representation: fit probes on training donors, score each test donor.

The probe is part of every score and named with it. Its regularisation is chosen on inner donor
folds of the training units; test donors are never seen before they are scored.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32

from cell_synergy.core.errors import DataError
from cell_synergy.data.units.dataset import Task
from cell_synergy.data.units.embeddings import standardise
from cell_synergy.data.units.splits import Fold
from cell_synergy.data.units.tissue import Tissue
from cell_synergy.downstream.probes import metrics, mlp
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.questions import (
    DONOR,
    Answer,
    Chosen,
    Goal,
    Question,
    ask,
    ask_donor,
    goals,
)
from cell_synergy.downstream.probes.settings import Probe

Representation = Callable[[Fold, int], Float32[np.ndarray, "units d"]]
Answers = Mapping[str, Mapping[str, Answer]]

LINEAR, NONLINEAR, LATE = "linear", "mlp", "late fusion"
COLUMNS = [
    "dataset", "method", "task", "metric", "probe", "fold", "donor", "seed", "value", "n",
    "inner", "classes", "strength", "sensitivity", "gradient_norm", "iterations",
]  # fmt: skip
OF_THE_FIT = ["inner", "strength", "sensitivity", "gradient_norm", "iterations"]


@dataclass(frozen=True)
class Judged:
    """Scores of one method, and what the first seed's probes said of every test unit.

    Attributes
    ----------
    scores
        One row per task, metric, probe, fold, donor and seed. `inner` is the score on inner folds
        that chose the penalty `strength`. `sensitivity` is how much lower that score is one step of
        the grid away, on the worse side, in the same units; it is empty where the grid has one
        step. What is the fit's, `OF_THE_FIT`, stands in the first row of a fit and metric alone.
        The task `donor` asks whose tissue a unit of the training donors is: the first seed's
        accuracy, one row per donor.
    posteriors
        `<task>/<fold>`: class probabilities of the fold's test units, in 255ths, by the probe with
        the best score on inner folds.
    """

    scores: pd.DataFrame
    posteriors: dict[str, np.ndarray]


def judge(
    name: str,
    tissue: Tissue,
    tasks: Mapping[str, Task],
    seeds: list[int],
    represent: Representation,
    probe: Probe,
) -> Judged:
    """Score the representation `represent(fold, seed)` of all units on every task.

    Linear probes judge every seed; penalties are chosen with the first seed's representation and
    kept for the others. Nonlinear probes judge the first seed. Where the representation is the two
    embeddings side by side, late fusion is scored too: a nonlinear probe of each, outputs added.

    Raises
    ------
    DataError
        If a representation is not finite, or no test unit has a label in any task.
    """
    tables: list[pd.DataFrame] = []
    posteriors: dict[str, np.ndarray] = {}
    for fold in tissue.folds:
        asked = _Asked(tissue, tasks, fold, probe)
        chosen: dict[str, Chosen] = {}
        for seed in seeds:
            shown = represent(fold, seed)
            z = standardise(shown, fold.align, tissue.groups, tissue.mode)
            if not np.isfinite(z).all():
                raise DataError(
                    f"{name}: the embedding of fold {fold.name!r}, seed {seed} is not finite; "
                    "train it again, with a smaller lr"
                )
            answers = {LINEAR: asked.linear(z, chosen, donor=seed == seeds[0])}
            if seed == seeds[0]:
                pair = np.array_equal(shown, np.concatenate(tissue.standardised(fold), axis=1))
                parts = [tissue.image.shape[1]] if pair else []
                answers |= asked.nonlinear(np.split(z, parts, axis=1), seed)
                posteriors |= asked.posteriors(answers)
            tables.append(asked.scores(answers).assign(seed=seed))
    scores = pd.concat(tables, ignore_index=True)
    if set(scores["task"]) <= {DONOR}:
        raise DataError(f"{name}: no test unit has a label; check `roles` against the labels")
    scores = scores.assign(dataset=tissue.units.uns["source"], method=name)
    fits = scores.duplicated(["task", "metric", "probe", "fold", "seed"])
    scores.loc[fits, OF_THE_FIT] = np.nan
    return Judged(scores[COLUMNS], posteriors)


def pair_and_parts(tissue: Tissue) -> dict[str, Representation]:
    """Return the two embeddings, `image` and `expression`, and both side by side, `concat`."""
    return {
        "image": lambda fold, _: tissue.standardised(fold)[0],
        "expression": lambda fold, _: tissue.standardised(fold)[1],
        "concat": lambda fold, _: np.concatenate(tissue.standardised(fold), axis=1),
    }


class _Asked:
    """All questions about one fold, and the probes' answers to them."""

    def __init__(self, tissue: Tissue, tasks: Mapping[str, Task], fold: Fold, probe: Probe) -> None:
        self.tissue, self.fold, self.probe = tissue, fold, probe
        self.goals = {goal.name: goal for goal in goals(tissue, tasks)}
        self.questions = {
            name: ask(goal, fold, tissue, probe.inner_folds) for name, goal in self.goals.items()
        }
        self.whose = ask_donor(fold, tissue, probe.inner_folds)

    def linear(self, z: np.ndarray, chosen: dict[str, Chosen], *, donor: bool) -> dict[str, Answer]:
        """Answer every question, or also whose a unit is; penalties not in `chosen` are added."""
        linear = LinearProbe(z, self.probe)
        questions = dict(self.questions)
        if donor and self.whose is not None:
            goal, question = self.whose
            questions[goal.name] = question
        for name, question in questions.items():
            if name not in chosen:
                chosen[name] = linear.choose(question)
        return {name: linear.answer(q, chosen[name]) for name, q in questions.items()}

    def nonlinear(self, blocks: list[np.ndarray], seed: int) -> dict[str, dict[str, Answer]]:
        """Answer the tasks' questions with nonlinear probes, all trained at once."""
        found = {}
        for name in (NONLINEAR, LATE) if len(blocks) > 1 else (NONLINEAR,):
            answers = mlp.answer(
                blocks, list(self.questions.values()), self.probe.mlp, seed, late=name == LATE
            )
            found[name] = dict(zip(self.questions, answers, strict=True))
        return found

    def posteriors(self, answers: Answers) -> dict[str, np.ndarray]:
        """Return the test units' class probabilities, of the best probe on inner folds."""
        found = {}
        for name, goal in self.goals.items():
            if goal.classes:
                best = max((given[name] for given in answers.values()), key=_inner)
                shares = _every_class(best.predicted, goal, self.questions[name])
                found[f"{name}/{self.fold.name}"] = np.round(255 * shares).astype(np.uint8)
        return found

    def scores(self, answers: Answers) -> pd.DataFrame:
        """Return one row per task, metric, probe and test donor that has labelled units."""
        rows = []
        for probe, given in answers.items():
            for name, answer in given.items():
                goal, question = self._asked(name)
                place = {
                    "task": name,
                    "probe": probe + (", transductive" if self.tissue.mode == "donor" else ""),
                    "fold": self.fold.name,
                    **vars(answer.chosen),
                    "gradient_norm": answer.gradient_norm,
                    "iterations": answer.iterations,
                }
                rows += [place | row for row in self._by_donor(goal, question, answer.predicted)]
        return pd.DataFrame(rows, columns=[c for c in COLUMNS if c not in FILLED_LATER])

    def _asked(self, name: str) -> tuple[Goal, Question]:
        if name in self.questions:
            return self.goals[name], self.questions[name]
        if self.whose is None:
            raise KeyError(name)
        return self.whose

    def _by_donor(
        self, goal: Goal, question: Question, predicted: np.ndarray
    ) -> Iterator[dict[str, object]]:
        donors, labelled = self.tissue.donor[question.test], goal.labelled[question.test]
        if goal.classes:
            shares = _every_class(predicted, goal, question)
            prior = np.bincount(question.present[question.y], minlength=len(goal.classes))
        for donor in np.unique(donors[labelled]):
            own = (donors == donor) & labelled
            rows, count = question.test[own], 0
            if goal.classes:
                codes = goal.codes[rows]
                values = metrics.classification(codes, shares[own], prior / prior.sum())
                count = len(np.unique(codes))
            else:
                values = metrics.regression(goal.target[rows], predicted[own])
            place = {"donor": donor, "n": len(rows), "classes": count}
            if goal.name == DONOR:  # of one donor's units there is one class: all else is the same
                values = {"accuracy": values["accuracy"]}
            for metric, value in values.items():
                if not np.isnan(value):  # nothing to score on this donor: absent, not zero
                    yield {**place, "metric": metric, "value": value}


FILLED_LATER = "dataset", "method", "seed"


def _inner(answer: Answer) -> float:
    return answer.chosen.inner


def _every_class(
    shares: Float[np.ndarray, "test present"], goal: Goal, question: Question
) -> Float[np.ndarray, "test classes"]:
    """Give classes without a training unit the probability zero."""
    whole = np.zeros((len(shares), len(goal.classes)))
    whole[:, question.present] = shares
    return whole
