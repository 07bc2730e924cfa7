"""The linear probe: penalty selected by inner cross-validation, then a fit to all training rows."""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.config import LinearConfig
from cell_synergy.downstream.probes.design import Design, Linear
from cell_synergy.downstream.probes.tasks import Prediction, ProbeTask, Selection


class LinearProbe:
    """Linear probes of one representation; tasks with equal training rows share a design.

    Parameters
    ----------
    z
        Standardised representation of all observations.
    probe
        Configuration of the linear probe.
    """

    def __init__(self, z: Float[np.ndarray, "obs d"], probe: LinearConfig) -> None:
        self.z, self.probe = z, probe
        self._designs: dict[tuple[bytes, bytes], Design] = {}

    def select(self, probe_task: ProbeTask) -> Selection:
        """Select the penalty with the best mean score on the inner folds.

        The score is the mean log-likelihood per row (nats) of a classification, or the R2 of a
        regression. The axes of the design are computed from all training rows, validation rows
        included; the optimum of a fit does not depend on the axes.
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
            scores = [_validation_score(p, y, probe_task.classes) for p in of_fold]
            totals += validation_mask.sum() * np.array(scores)
            predicted[:, validation_mask] = of_fold
        return Selection.best(penalties, totals / len(probe_task.train), predicted)

    def predict(self, probe_task: ProbeTask, selection: Selection) -> Prediction:
        """Fit to all training rows with the selected penalty, and predict the test rows.

        Parameters
        ----------
        probe_task
            The train/test problem.
        selection
            Selected penalty.

        Returns
        -------
        :
            Class probabilities or values of the test rows (one column per class in
            `probe_task.present`, or per output), and the convergence of the fit.
        """
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


def _validation_score(
    predicted: Float64[np.ndarray, "validation outputs"],
    y: Int[np.ndarray, " validation"] | Float[np.ndarray, "validation outputs"],
    classes: int,
) -> float:
    """Return the mean log-likelihood, or R2 of a regression (`classes` is 0)."""
    if not classes:
        r2 = metrics.regression(y, predicted)["r2"]
        return float(np.nan_to_num(r2))  # without variation no penalty is better than another
    likelihood = predicted[np.arange(len(y)), y]
    return float(np.log(np.maximum(likelihood, np.finfo(np.float64).tiny)).mean())
