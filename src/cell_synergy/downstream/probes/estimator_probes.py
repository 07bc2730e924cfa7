"""Any scikit-learn estimator as a probe: estimators that are scored like the study's probes.

A classifier solves the classification tasks and a regressor the regressions. It is cloned and
fitted for each task, to the folds of the inner cross-validation and to all training rows. If its
`fit` takes `groups`, these are the inner folds of the rows, each of which consists of whole donors.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import FINE_TUNED, LATE_FUSION, LINEAR, NONLINEAR, TRANSDUCTIVE
from cell_synergy.downstream.probes.feature_blocks import Embedding, as_blocks, equal_variance
from cell_synergy.downstream.probes.linear import validation_score
from cell_synergy.downstream.probes.tasks import Prediction, ProbeTask, Selection, Target

_TAKEN = (LINEAR, NONLINEAR, LATE_FUSION, FINE_TUNED)


def predict(
    estimators: Mapping[str, Any],
    embedding: Embedding,
    tasks: Mapping[str, tuple[Target, ProbeTask]],
    seed: int,
) -> dict[str, dict[str, Prediction]]:
    """Fit estimators to the tasks of one fold; return predictions for test rows by name and task.

    Parameters
    ----------
    estimators
        Estimators by the name of the probe in score tables; they are cloned, not changed.
    embedding
        Standardised features of all observations; blocks are scaled to equal total variance.
    tasks
        Target and train/test problem of each task, by name. A classifier has no prediction of a
        regression, nor a regressor of a classification.
    seed
        Value of every parameter `random_state` that is None.

    Raises
    ------
    DataError
        If a name is that of another probe, an estimator is neither a classifier with class
        probabilities nor a regressor, can solve none of the tasks, refuses the data, or predicts
        numbers that are not finite or no probabilities.
    """
    z = np.concatenate(equal_variance(as_blocks(embedding)), axis=1)
    predictions = {}
    for name, estimator in estimators.items():
        probe = _EstimatorProbe(name, estimator, z, seed)
        solved = {task: each for task, (_, each) in tasks.items() if probe.solves(each)}
        if tasks and not solved:
            raise DataError(
                f"estimator {name!r}: no task is a {probe.kind}; name another task or estimator"
            )
        predictions[name] = {task: probe.predict(each) for task, each in solved.items()}
    return predictions


class _EstimatorProbe:
    """One estimator as a probe of one representation."""

    def __init__(
        self,
        name: str,
        estimator: Any,  # noqa: ANN401 - scikit-learn has no types
        z: Float[np.ndarray, "obs d"],
        seed: int,
    ) -> None:
        if not name or name.removesuffix(TRANSDUCTIVE) in _TAKEN:
            raise DataError(f"estimator {name!r}: this name is taken; choose another one")
        needed = ("fit", "get_params", "__sklearn_tags__")
        if isinstance(estimator, type) or not all(hasattr(estimator, each) for each in needed):
            raise DataError(
                f"estimator {name!r}: {estimator!r:.80} is no estimator; give an object (not a "
                "class) that derives from scikit-learn's BaseEstimator"
            )
        if is_classifier(estimator) and hasattr(estimator, "predict_proba"):
            self.kind = "classification"
        elif is_regressor(estimator):
            self.kind = "regression"
        else:
            raise DataError(
                f"estimator {name!r}: it is neither a regressor nor a classifier with "
                "predict_proba, which scores need (CalibratedClassifierCV adds it)"
            )
        self.name, self.z = name, z
        given = estimator.get_params()
        seeds = [key for key in given if f"__{key}".endswith("__random_state")]
        unset = {key: seed for key in seeds if given[key] is None}
        self.estimator = clone(estimator).set_params(**unset)

    def solves(self, probe_task: ProbeTask) -> bool:
        """Return whether the estimator is of the kind of a task."""
        return (self.kind == "classification") == bool(probe_task.classes)

    def predict(self, probe_task: ProbeTask) -> Prediction:
        """Return predictions for test rows, and for training rows by models of the inner folds."""
        rows = np.arange(len(probe_task.train))
        cv_predicted = np.full((len(rows), probe_task.outputs), np.nan)
        total = 0.0
        for number in np.unique(probe_task.cv_folds):
            inside = probe_task.cv_folds != number
            validation = probe_task.train[~inside]
            of_fold = self._fit_predict(probe_task, rows[inside], validation)
            cv_predicted[~inside] = of_fold
            score = validation_score(of_fold, probe_task.y[~inside], probe_task.classes)
            total += len(validation) * score
        selection = Selection(np.nan, total / len(rows), np.nan, cv_predicted)
        predicted = self._fit_predict(probe_task, rows, probe_task.test)
        return Prediction(predicted, selection, np.nan, 0)

    def _fit_predict(
        self, probe_task: ProbeTask, fitted: Int[np.ndarray, " fitted"], rows: Int[np.ndarray, " n"]
    ) -> Float64[np.ndarray, "n outputs"]:
        """Fit a clone to some of the training rows; return its predictions for some observations.

        Parameters
        ----------
        probe_task
            The train/test problem.
        fitted
            Positions of the rows to fit to, among the training rows.
        rows
            Indices of the observations to predict.
        """
        estimator, y = clone(self.estimator), probe_task.y[fitted]
        if y.ndim > 1 and y.shape[1] == 1:
            y = y[:, 0]
        elif y.ndim > 1 and not get_tags(estimator).target_tags.multi_output:
            estimator = MultiOutputRegressor(estimator)
        takes_groups = has_fit_parameter(estimator, "groups")
        groups = {"groups": probe_task.cv_folds[fitted]} if takes_groups else {}
        try:
            estimator.fit(self.z[probe_task.train[fitted]], y, **groups)
            if not probe_task.classes:
                predicted = np.asarray(estimator.predict(self.z[rows]), dtype=np.float64)
                return self._checked(predicted.reshape(len(rows), -1), probe_task.outputs)
            by_class = np.asarray(estimator.predict_proba(self.z[rows]), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"estimator {self.name!r}: {error}") from error
        probabilities = np.zeros((len(rows), probe_task.classes))
        probabilities[:, estimator.classes_] = self._checked(by_class, len(estimator.classes_))
        return _without_zeros(probabilities, len(fitted))

    def _checked(
        self, predicted: Float64[np.ndarray, "n outputs"], outputs: int
    ) -> Float64[np.ndarray, "n outputs"]:
        """Refuse predictions of another shape, and numbers that are not finite or below 0."""
        is_classification = self.kind == "classification"
        if predicted.shape[1:] != (outputs,) or not np.isfinite(predicted).all():
            raise DataError(
                f"estimator {self.name!r}: predictions of shape {predicted.shape}, where {outputs} "
                "finite numbers per row are needed"
            )
        if is_classification and (
            (predicted < 0).any() or not np.allclose(predicted.sum(axis=1), 1, atol=1e-3)
        ):
            raise DataError(f"estimator {self.name!r}: rows of predict_proba do not sum to one")
        return predicted


def _without_zeros(
    probabilities: Float64[np.ndarray, "n classes"], n_fitted: int
) -> Float64[np.ndarray, "n classes"]:
    """Replace probabilities of exactly 0 by that of half a training row; rows sum to one.

    An observation of a class that a forest never saw in one of its leaves would cost infinitely
    many bits, which no finite number of rows supports.
    """
    filled = np.where(probabilities > 0, probabilities, 1 / (2 * n_fitted))
    return np.asarray(filled / filled.sum(axis=1, keepdims=True))
