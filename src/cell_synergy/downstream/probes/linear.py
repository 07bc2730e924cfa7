"""The linear probe: penalty selected by inner cross-validation, then a fit to all training rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.config import LinearConfig
from cell_synergy.downstream.probes.design import Design, Linear
from cell_synergy.downstream.probes.feature_blocks import Embedding, as_blocks, equal_variance
from cell_synergy.downstream.probes.tasks import Prediction, ProbeTask, Selection


class LinearProbe:
    """Linear probes of one representation.

    Blocks have equal total variance, or one of them is multiplied by a factor above 1, so that it
    has a weaker penalty than the others: what one expert knows is not lost beside another one that
    knows nothing. Factor and penalty are selected together.

    Parameters
    ----------
    embedding
        Standardised features of all observations: an array, or an array per block.
    probe
        Configuration of the linear probe.
    """

    def __init__(self, embedding: Embedding, probe: LinearConfig) -> None:
        self.blocks, self.probe = equal_variance(as_blocks(embedding)), probe
        self._scaled: dict[tuple[float, ...], _ScaledProbe] = {}

    def select(self, probe_task: ProbeTask) -> Selection:
        """Select the penalty, and factors of the blocks, with the best mean score on inner folds.

        The score is the mean log-likelihood per row (nats) of a classification, or the R2 of a
        regression.
        """
        return self.select_each([probe_task])[0]

    def select_each(self, probe_tasks: Sequence[ProbeTask]) -> list[Selection]:
        """Return the selection of each task, in the order of the tasks; faster than one by one.

        Parameters
        ----------
        probe_tasks
            The train/test problems; those with equal training rows share their designs.
        """
        by_factors: list[list[Selection]] = []
        for factors in self._block_factors():
            scaled = self._at(factors)
            selections = [scaled.select(probe_task) for probe_task in probe_tasks]
            by_factors.append([replace(s, block_factors=factors) for s in selections])
            if len(self.blocks) > 1:
                self._scaled.clear()  # designs of one scaling at a time are in memory
        return [max(of, key=lambda s: s.cv_score) for of in zip(*by_factors, strict=True)]

    def predict(self, probe_task: ProbeTask, selection: Selection) -> Prediction:
        """Fit to all training rows with the selected penalty, and predict the test rows.

        Parameters
        ----------
        probe_task
            The train/test problem.
        selection
            Selected penalty, and factors of the blocks.

        Returns
        -------
        :
            Class probabilities or values of the test rows (one column per class in
            `probe_task.present`, or per output), and the convergence of the fit.
        """
        return self._at(selection.block_factors).predict(probe_task, selection)

    def _block_factors(self) -> list[tuple[float, ...]]:
        """Return the factors of the blocks to select from: all 1, then above 1 for one block.

        The penalty of a block with a factor above 1 is weaker than that of the other blocks by one
        or more steps of the grid.
        """
        ones, penalties = [1.0] * len(self.blocks), self.probe.penalties()
        combinations = [tuple(ones)]
        if len(ones) > 1:
            for block in range(len(ones)):
                for penalty in penalties[1 : 1 + self.probe.block_steps]:
                    factor = (penalties[0] / penalty) ** 0.5
                    combinations.append((*ones[:block], factor, *ones[block + 1 :]))
        return combinations

    def _at(self, factors: tuple[float, ...]) -> "_ScaledProbe":
        """Return the probes of the blocks multiplied by some factors."""
        if factors not in self._scaled:
            blocks = zip(self.blocks, factors, strict=True)
            z = np.concatenate([block * np.float32(factor) for block, factor in blocks], axis=1)
            self._scaled[factors] = _ScaledProbe(z, self.probe)
        return self._scaled[factors]


class _ScaledProbe:
    """Linear probes of features with one penalty; tasks with equal training rows share a design."""

    def __init__(self, z: Float[np.ndarray, "obs d"], probe: LinearConfig) -> None:
        self.z, self.probe = z, probe
        self._designs: dict[tuple[bytes, bytes], Design] = {}

    def select(self, probe_task: ProbeTask) -> Selection:
        """Select the penalty with the best mean score on the inner folds.

        The axes of the design are computed from all training rows, validation rows included; the
        optimum of a fit does not depend on the axes.
        """
        penalties = self.probe.penalties()
        totals = np.zeros(len(penalties))
        predicted = np.full((len(penalties), len(probe_task.train), probe_task.outputs), np.nan)
        for number in np.unique(probe_task.cv_folds):
            validation_mask = probe_task.cv_folds == number
            train_mask = ~validation_mask
            fits = self._fit(
                self._design(probe_task, train_mask), probe_task, train_mask, penalties
            )
            x = self.z[probe_task.train[validation_mask]].astype(np.float64)
            y = probe_task.y[validation_mask]
            of_fold = np.array([_predict(fit, x, probe_task.classes) for fit in fits])
            scores = [validation_score(p, y, probe_task.classes) for p in of_fold]
            totals += validation_mask.sum() * np.array(scores)
            predicted[:, validation_mask] = of_fold
        return Selection.best(penalties, totals / len(probe_task.train), predicted)

    def predict(self, probe_task: ProbeTask, selection: Selection) -> Prediction:
        """Fit to all training rows with the selected penalty, and predict the test rows."""
        all_rows = np.ones(len(probe_task.train), dtype=bool)
        (linear,) = self._fit(self._design(probe_task), probe_task, all_rows, [selection.penalty])
        x = self.z[probe_task.test]
        predicted = _predict(linear, x, probe_task.classes)
        return Prediction(predicted, selection, linear.gradient_norm, linear.iterations)

    def _design(
        self, probe_task: ProbeTask, mask: Bool[np.ndarray, " train"] | None = None
    ) -> Design:
        """Return the design of the training rows, or of the training rows in a mask.

        Designs are cached by training rows and inner folds: tasks with equal ones share a design.
        """
        rows = probe_task.train.tobytes() + probe_task.cv_folds.tobytes()
        key = rows, b"" if mask is None else mask.tobytes()
        if key not in self._designs:
            if mask is None:
                self._designs[key] = Design.of(self.z[probe_task.train], probe_task.cv_folds)
            else:
                self._designs[key] = self._design(probe_task).part(mask)
        return self._designs[key]

    def _fit(
        self,
        design: Design,
        probe_task: ProbeTask,
        mask: Bool[np.ndarray, " train"],
        penalties: list[float],
    ) -> list[Linear]:
        y = probe_task.y[mask]
        if not probe_task.classes:
            return design.ridge(y, penalties)
        tolerance, iterations = self.probe.tolerance, self.probe.iterations
        return design.logistic(y, probe_task.classes, penalties, tolerance, iterations)


def _predict(
    linear: Linear, x: Float[np.ndarray, "rows d"], classes: int
) -> Float64[np.ndarray, "rows outputs"]:
    """Return the class probabilities, or values of a regression (`classes` is 0)."""
    return linear.probabilities(x) if classes else linear.scores(x)


def validation_score(
    predicted: Float64[np.ndarray, "validation outputs"],
    y: Int[np.ndarray, " validation"] | Float[np.ndarray, "validation outputs"],
    classes: int,
) -> float:
    """Return the score that selects a regularisation: on the rows of one inner fold.

    Parameters
    ----------
    predicted, y
        Predictions for the rows, and their classes or values.
    classes
        Number of classes, of which the score is the mean log-likelihood per row (nats); 0 for a
        regression, of which it is the R2.
    """
    if not classes:
        r2 = metrics.regression(y, predicted)["r2"]
        return float(np.nan_to_num(r2))  # without variation no penalty is better than another
    likelihood = predicted[np.arange(len(y)), y]
    return float(np.log(np.maximum(likelihood, np.finfo(np.float64).tiny)).mean())
