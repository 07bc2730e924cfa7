"""The linear probe: penalty chosen on inner folds, then a fit on all training rows."""

import numpy as np
from jaxtyping import Bool, Float

from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.design import Design, Linear
from cell_synergy.downstream.probes.tasks import Answer, Chosen, Question


class LinearProbe:
    """Linear probes of one representation; questions about the same rows share their design."""

    def __init__(self, z: Float[np.ndarray, "obs d"], probe: ProbeConfig) -> None:
        self.z, self.probe = z, probe
        self.designs: dict[tuple[bytes, bytes], Design] = {}

    def choose(self, question: Question) -> Chosen:
        """Return the strength with the best mean inner score: log-likelihood, or R2.

        The axes of the design have seen held-out units too; a fit does not depend on its axes.
        """
        grid = self.probe.grid()
        totals = np.zeros(len(grid))
        for number in np.unique(question.inner):
            rest, out = question.inner != number, question.inner == number
            fits = self._fit(self._design(question, rest), question, rest, grid)
            x = self.z[question.train[out]].astype(np.float64)
            scores = [_inner_score(fit, x, question.y[out], question.classes) for fit in fits]
            totals += out.sum() * np.array(scores)
        return Chosen.best(grid, totals / len(question.train))

    def answer(self, question: Question, chosen: Chosen) -> Answer:
        """Fit on all training rows with the chosen strength, and predict the test rows."""
        everyone = np.ones(len(question.train), dtype=bool)
        design = self._design(question)
        (linear,) = self._fit(design, question, everyone, [chosen.strength])
        asked = self.z[question.test]
        predicted = linear.probabilities(asked) if question.classes else linear.scores(asked)
        return Answer(predicted, chosen, linear.gradient_norm, linear.iterations)

    def _design(self, question: Question, part: Bool[np.ndarray, " train"] | None = None) -> Design:
        """Return the training units, or a part of them; tasks with the same units share it.

        Inner folds share the Gram matrices of theirs.
        """
        rows = question.train.tobytes() + question.inner.tobytes()
        key = rows, b"" if part is None else part.tobytes()
        if key not in self.designs:
            self.designs[key] = (
                Design.of(self.z[question.train], question.inner)
                if part is None
                else self._design(question).part(part)
            )
        return self.designs[key]

    def _fit(
        self, design: Design, question: Question, rows: np.ndarray, strengths: list[float]
    ) -> list[Linear]:
        if not question.classes:
            return design.ridge(question.y[rows], strengths)
        return design.logistic(
            question.y[rows],
            question.classes,
            strengths,
            self.probe.tolerance,
            self.probe.iterations,
        )


def _inner_score(linear: Linear, x: np.ndarray, y: np.ndarray, classes: int) -> float:
    if not classes:
        r2 = metrics.regression(y, linear.scores(x))["r2"]
        return float(np.nan_to_num(r2))  # without variation no strength is better
    shares = linear.probabilities(x)[np.arange(len(y)), y]
    return float(np.log(np.maximum(shares, np.finfo(np.float64).tiny)).mean())
