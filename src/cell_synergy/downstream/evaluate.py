"""Judge one representation: fit probes on training donors, score each test donor.

The probe is part of every score and named with it. Its regularisation is chosen on inner donor
folds of the training units; test donors are never seen before they are scored.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import DONOR, LATE_FUSION, LINEAR, NONLINEAR, TRANSDUCTIVE
from cell_synergy.data.config import Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.remarks import remarked
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.probes import metrics, mlp
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import (
    Answer,
    Chosen,
    Goal,
    Question,
    ask,
    ask_donor,
    goals,
)

Representation = Callable[[Fold, int], Float32[np.ndarray, "obs d"]]
Answers = Mapping[str, Mapping[str, Answer]]
Score = Callable[[Bool[np.ndarray, " test"]], dict[str, float]]

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
    paired: PairedDataset,
    tasks: Mapping[str, Task],
    seeds: list[int],
    represent: Representation,
    probe: ProbeConfig,
) -> Judged:
    """Score the representation `represent(fold, seed)` of all units on every task.

    Linear probes judge every seed; penalties are chosen with the first seed's representation and
    kept for the others. Nonlinear probes judge the first seed. Where the representation is the two
    embeddings side by side, late fusion is scored too: a nonlinear probe of each, outputs added.

    Raises
    ------
    DataError
        If a representation is not finite, or no test unit has a label in any task. Without a task
        there are the rows `donor` alone.
    """
    rows: list[dict[str, object]] = []
    posteriors: dict[str, np.ndarray] = {}
    every = goals(paired, tasks)
    for fold in paired.folds:
        asked = Asked(paired, every, fold, probe)
        chosen: dict[str, Chosen] = {}
        for seed in seeds:
            shown = represent(fold, seed)
            z = standardise(shown, fold.align, paired.groups, paired.mode)
            if not np.isfinite(z).all():
                raise DataError(
                    f"{name}: the embedding of fold {fold.name!r}, seed {seed} is not finite; "
                    "train it again, with a smaller lr"
                )
            answers = {LINEAR: asked.linear(z, chosen, donor=seed == seeds[0])}
            if seed == seeds[0]:
                pair = np.array_equal(shown, np.concatenate(paired.standardised(fold), axis=1))
                parts = [paired.image.shape[1]] if pair else []
                answers |= asked.nonlinear(np.split(z, parts, axis=1), seed)
                posteriors |= asked.posteriors(answers)
            rows += [row | {"seed": seed} for row in asked.scores(answers)]
    return Judged(table(name, paired, rows, asked=bool(every)), posteriors)


def table(
    name: str, paired: PairedDataset, rows: list[dict[str, object]], *, asked: bool = True
) -> pd.DataFrame:
    """Return rows as the table of one method; what is the fit's stands in its first row.

    What has to be said of the data set stands in every row, in a last column `remark`.

    Raises
    ------
    DataError
        If a task was `asked` and no test unit has a label.
    """
    source = paired.adata.uns["source"]
    scores = pd.DataFrame(rows, columns=COLUMNS).assign(dataset=source, method=name)
    if asked and set(scores["task"]) <= {DONOR}:
        raise DataError(f"{name}: no test unit has a label; check `roles` against the labels")
    fits = scores.duplicated(["task", "metric", "probe", "fold", "seed"])
    scores.loc[fits, OF_THE_FIT] = np.nan
    return remarked(scores, paired.adata.uns)


def pair_and_parts(paired: PairedDataset) -> dict[str, Representation]:
    """Return the two embeddings, `image` and `expression`, and both side by side, `concat`."""
    return {
        "image": lambda fold, _: paired.standardised(fold)[0],
        "expression": lambda fold, _: paired.standardised(fold)[1],
        "concat": lambda fold, _: np.concatenate(paired.standardised(fold), axis=1),
    }


class Asked:
    """All questions about one fold, and the probes' answers to them.

    Attributes
    ----------
    tasks
        Every task's question, by name.
    every
        The same, and whose tissue a unit is, if the fold trains on several donors.
    """

    def __init__(
        self, paired: PairedDataset, every: list[Goal], fold: Fold, probe: ProbeConfig
    ) -> None:
        self.paired, self.fold, self.probe = paired, fold, probe
        inner = probe.inner_folds
        self.tasks = {goal.name: (goal, ask(goal, fold, paired, inner)) for goal in every}
        whose = ask_donor(fold, paired, inner)
        self.every = self.tasks | ({DONOR: whose} if whose else {})

    def linear(self, z: np.ndarray, chosen: dict[str, Chosen], *, donor: bool) -> dict[str, Answer]:
        """Answer every question, or the tasks' alone; penalties not in `chosen` are added."""
        linear, found = LinearProbe(z, self.probe), {}
        for name, (_, question) in (self.every if donor else self.tasks).items():
            if name not in chosen:
                chosen[name] = linear.choose(question)
            found[name] = linear.answer(question, chosen[name])
        return found

    def nonlinear(self, blocks: list[np.ndarray], seed: int) -> dict[str, dict[str, Answer]]:
        """Answer the tasks' questions with nonlinear probes, all trained at once."""
        questions, settings, found = [q for _, q in self.tasks.values()], self.probe.mlp, {}
        for name in (NONLINEAR, LATE_FUSION) if len(blocks) > 1 else (NONLINEAR,):
            answers = mlp.answer(blocks, questions, settings, seed, late=name == LATE_FUSION)
            found[name] = dict(zip(self.tasks, answers, strict=True))
        return found

    def posteriors(self, answers: Answers) -> dict[str, np.ndarray]:
        """Return the test units' class probabilities, of the best probe on inner folds."""
        found = {}
        for name, (goal, question) in self.tasks.items():
            if goal.classes:
                best = max((given[name] for given in answers.values()), key=_inner)
                shares = _every_class(best.predicted, goal, question)
                found[f"{name}/{self.fold.name}"] = np.round(255 * shares).astype(np.uint8)
        return found

    def scores(self, answers: Answers) -> Iterator[dict[str, object]]:
        """Yield one row per task, metric, probe and test donor that has labelled units."""
        for probe, given in answers.items():
            for name, answer in given.items():
                place = {
                    "task": name,
                    "probe": probe + TRANSDUCTIVE * (self.paired.mode == "donor"),
                    "fold": self.fold.name,
                    **vars(answer.chosen),
                    "gradient_norm": answer.gradient_norm,
                    "iterations": answer.iterations,
                }
                for row in self._by_donor(*self.every[name], answer):
                    yield place | row

    def _by_donor(
        self, goal: Goal, question: Question, answer: Answer
    ) -> Iterator[dict[str, object]]:
        donors, labelled = self.paired.donor[question.test], goal.labelled[question.test]
        score = (_of_classes if goal.classes else _of_values)(goal, question, answer)
        for donor in np.unique(donors[labelled]):
            own = (donors == donor) & labelled
            codes = goal.codes[question.test[own]]
            count = len(np.unique(codes)) if goal.classes else 0
            place = {"donor": donor, "n": len(codes), "classes": count}
            for metric, value in score(own).items():
                if not np.isnan(value):  # nothing to score on this donor: absent, not zero
                    yield {**place, "metric": metric, "value": value}


def _of_classes(goal: Goal, question: Question, answer: Answer) -> Score:
    """Return the function that scores some test units of a classification."""
    shares = _every_class(answer.predicted, goal, question)
    prior = np.bincount(question.present[question.y], minlength=len(goal.classes))

    def score(own: Bool[np.ndarray, " test"]) -> dict[str, float]:
        codes = goal.codes[question.test[own]]
        values = metrics.classification(codes, shares[own], prior / prior.sum())
        # Of one donor's units there is one class: all other metrics are the same.
        return {"accuracy": values["accuracy"]} if goal.name == DONOR else values

    return score


def _of_values(goal: Goal, question: Question, answer: Answer) -> Score:
    """Return the function that scores some test units of a regression."""
    mean, variance = question.y.mean(axis=0), question.y.var(axis=0)
    unexplained = max(1 - answer.chosen.inner, float(np.finfo(np.float64).eps))

    def score(own: Bool[np.ndarray, " test"]) -> dict[str, float]:
        y, predicted = goal.target[question.test[own]], answer.predicted[own]
        bits = metrics.gaussian_bits(y, predicted, mean, variance, unexplained)
        return {**metrics.regression(y, predicted), "bits": bits}

    return score


def _inner(answer: Answer) -> float:
    return answer.chosen.inner


def _every_class(
    shares: Float[np.ndarray, "test present"], goal: Goal, question: Question
) -> Float[np.ndarray, "test classes"]:
    """Give classes without a training unit the probability zero."""
    whole = np.zeros((len(shares), len(goal.classes)))
    whole[:, question.present] = shares
    return whole
