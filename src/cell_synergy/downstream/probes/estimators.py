"""The linear probes as scikit-learn estimators, for matrices of any origin.

`LogisticProbe` and `RidgeProbe` are the study's linear probe: the exact solvers of `design`, an L2
penalty per training row, and its selection on inner folds that divide no donor. Coefficients and
predictions have scikit-learn's layouts. As in the study, features should be standardised before:
the penalty treats all of them alike, and nothing is scaled here.

    probe = LogisticProbe().fit(X, region, groups=donor)
    probe.predict_proba(X_of_other_donors)

Defaults are the values of section `probe` of params.yaml.
"""

import warnings
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int, Shaped
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from cell_synergy.core.config import validate
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.data.splits import inner_folds
from cell_synergy.downstream.probes.config import LinearConfig
from cell_synergy.downstream.probes.design import Design, Linear
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import ProbeTask

Matrix = Float[np.ndarray, "rows d"]
Groups = Shaped[np.ndarray, " rows"] | None


class _Probe(BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Selection of the penalty and the final fit, which both estimators share.

    Attributes
    ----------
    penalty_
        The penalty of the fit: the given one, or the selected one.
    gradient_norm_
        Largest absolute entry of the objective's gradient at the solution, preconditioned in the
        case of logistic regression.
    """

    _no_arguments: ClassVar[dict[str, float]] = {"block_steps": 0}  # settings without effect here

    def _solve(
        self,
        x: Matrix,
        y: Int[np.ndarray, " rows"] | Float[np.ndarray, "rows outputs"],
        n_classes: int,
        groups: Groups,
    ) -> Linear:
        """Return the linear model of all rows; set the attributes of both estimators."""
        name, config = type(self).__name__, self._config()
        self.penalty_ = self.penalty
        if self.penalty is None:
            folds = _folds(x, y, groups, config.inner_folds)
            rows = np.arange(len(x))
            task = ProbeTask(rows, folds, rows[:0], np.arange(n_classes), y)
            centred = (x - x.mean(axis=0)).astype(np.float32)
            self.penalty_ = LinearProbe(centred, config).select(task).penalty
        elif not (isinstance(self.penalty, Real) and 0 < float(self.penalty) < np.inf):
            raise ConfigError(f"{name}.penalty: {self.penalty!r} is no number above 0, nor None")
        design, penalties = Design.of(x), [self.penalty_]
        if n_classes:
            (linear,) = design.logistic(
                y, n_classes, penalties, config.tolerance, config.iterations
            )
        else:
            (linear,) = design.ridge(y, penalties)
        self.gradient_norm_ = linear.gradient_norm
        return linear

    def _config(self) -> LinearConfig:
        """Return the settings as a configuration, which refuses values out of range."""
        given = self.get_params()
        values = {name: given[name] for name in LinearConfig.model_fields if name in given}
        return validate(LinearConfig, self._no_arguments | values, type(self).__name__)


class LogisticProbe(ClassifierMixin, _Probe):  # type: ignore[misc]
    """Multinomial logistic regression with an L2 penalty, solved to the optimum.

    Parameters
    ----------
    penalty
        L2 penalty per training row: the objective is the mean cross entropy (nats) plus `penalty /
        2` times the squared norm of the coefficients without the intercept. None selects the one of
        the grid with the highest likelihood on inner folds.
    weakest, strongest, strengths
        Smallest and largest penalty of the grid and their number, evenly spaced on a log scale.
    inner_folds
        Number of inner folds, at most one per group.
    tolerance, iterations
        A fit stops at this largest entry of the preconditioned gradient, or, with a
        ConvergenceWarning, after this number of conjugate-gradient steps.

    Attributes
    ----------
    classes_
        Labels, sorted; the columns of `predict_proba`.
    coef_, intercept_
        Coefficients, a row per class (for two classes one row, about the second), and intercepts.
    penalty_, gradient_norm_
        The penalty of the fit, and the largest entry of the gradient at its solution.
    C_
        Parameter `C` with which scikit-learn's LogisticRegression has the same solution.
    n_iter_
        Number of conjugate-gradient steps, an array of one entry.
    """

    def __init__(
        self,
        penalty: float | None = None,
        *,
        weakest: float = 0.001,
        strongest: float = 100.0,
        strengths: int = 6,
        inner_folds: int = 3,
        tolerance: float = 1e-4,
        iterations: int = 200,
    ) -> None:
        self.penalty = penalty
        self.weakest, self.strongest, self.strengths = weakest, strongest, strengths
        self.inner_folds, self.tolerance, self.iterations = inner_folds, tolerance, iterations

    def fit(self, X: Any, y: Any, groups: Any = None) -> "LogisticProbe":  # noqa: ANN401
        """Fit to all rows; the order of the rows does not matter.

        Parameters
        ----------
        X
            Features, a row per observation.
        y
            Class of each row.
        groups
            Group of each row, such as its donor, which no inner fold divides. With None, or a
            single group, rows are dealt to the inner folds class by class.

        Raises
        ------
        ValueError
            If features are not finite, there is one class only, or a parameter is out of range.
        """
        x, labels = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:  # noqa: PLR2004
            raise DataError(f"LogisticProbe: one class only, {str(self.classes_[0])!r}; give two")
        linear = self._solve(x, codes, len(self.classes_), groups)
        coefficients = linear.coefficients.T
        intercept = linear.intercept - linear.intercept.mean()  # any number may be added to all
        if binary := len(self.classes_) == 2:  # noqa: PLR2004
            coefficients, intercept = np.diff(coefficients, axis=0), np.diff(intercept)
        self.coef_, self.intercept_ = coefficients, intercept
        self.C_ = (1 + binary) / (len(x) * self.penalty_)
        self.n_iter_ = np.array([linear.iterations])
        if linear.gradient_norm > self.tolerance:
            warnings.warn(
                f"LogisticProbe: gradient {linear.gradient_norm:.2g} after {linear.iterations} "
                "steps; set iterations higher, or standardise the features",
                ConvergenceWarning, stacklevel=2,
            )  # fmt: skip
        return self

    def decision_function(self, X: Any) -> Float64[np.ndarray, "..."]:  # noqa: ANN401
        """Return the logits, a column per class; for two classes those of the second, as a vector.

        Raises NotFittedError, or ValueError for features that are not those of the fit.
        """
        check_is_fitted(self)
        x: np.ndarray = validate_data(self, X, dtype=np.float64, reset=False)
        logits: np.ndarray = x @ self.coef_.T + self.intercept_
        return logits[:, 0] if len(self.classes_) == 2 else logits  # noqa: PLR2004

    def predict_proba(self, X: Any) -> Float64[np.ndarray, "rows classes"]:  # noqa: ANN401
        """Return class probabilities, a column per entry of `classes_`; rows sum to one."""
        logits = self.decision_function(X)
        if logits.ndim == 1:
            logits = np.column_stack([np.zeros_like(logits), logits])
        probabilities: np.ndarray = softmax(logits, axis=1)
        return probabilities

    def predict(self, X: Any) -> Shaped[np.ndarray, " rows"]:  # noqa: ANN401
        """Return the most probable class of each row."""
        best = self.predict_proba(X).argmax(axis=1)
        predicted: np.ndarray = self.classes_[best]
        return predicted


class RidgeProbe(RegressorMixin, _Probe):  # type: ignore[misc]
    """Ridge regression of one or several outputs, in closed form.

    Parameters
    ----------
    penalty
        L2 penalty per training row: the objective is half the mean squared error plus `penalty / 2`
        times the squared norm of the coefficients without the intercept. None selects the one of
        the grid with the highest R2 on inner folds.
    weakest, strongest, strengths
        Smallest and largest penalty of the grid and their number, evenly spaced on a log scale.
    inner_folds
        Number of inner folds, at most one per group.

    Attributes
    ----------
    coef_, intercept_
        Coefficients and intercept; for a `y` of several columns, a row and an entry per output.
    penalty_, gradient_norm_
        The penalty of the fit, and the largest entry of the gradient at its solution.
    alpha_
        Parameter `alpha` with which scikit-learn's Ridge has the same solution.
    """

    _no_arguments: ClassVar = {"block_steps": 0, "tolerance": 1.0, "iterations": 1}

    def __init__(
        self,
        penalty: float | None = None,
        *,
        weakest: float = 0.001,
        strongest: float = 100.0,
        strengths: int = 6,
        inner_folds: int = 3,
    ) -> None:
        self.penalty = penalty
        self.weakest, self.strongest, self.strengths = weakest, strongest, strengths
        self.inner_folds = inner_folds

    def fit(self, X: Any, y: Any, groups: Any = None) -> "RidgeProbe":  # noqa: ANN401
        """Fit to all rows; the order of the rows does not matter.

        Parameters
        ----------
        X, y
            Features, a row per observation; and its value, or a column per output.
        groups
            Group of each row, such as its donor, which no inner fold divides. With None, or a
            single group, rows are dealt to the inner folds in the order of their values.

        Raises
        ------
        ValueError
            If features or values are not finite, or a parameter is out of range.
        """
        x, values = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, ensure_min_samples=2
        )
        outputs = values.astype(np.float64).reshape(len(x), -1)
        linear = self._solve(x, outputs, 0, groups)
        several = values.ndim > 1
        self.coef_ = linear.coefficients.T if several else linear.coefficients[:, 0]
        self.intercept_ = linear.intercept if several else float(linear.intercept[0])
        self.alpha_ = len(x) * self.penalty_
        return self

    def predict(self, X: Any) -> Float64[np.ndarray, "rows ..."]:  # noqa: ANN401
        """Return the predicted values, in the layout of `y`."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        predicted: np.ndarray = x @ self.coef_.T + self.intercept_
        return predicted

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - a class of scikit-learn
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _folds(
    x: Matrix,
    y: Int[np.ndarray, " rows"] | Float[np.ndarray, "rows outputs"],
    groups: Any,  # noqa: ANN401 - a list, an array or a column of any type
    n_folds: int,
) -> Int[np.ndarray, " rows"]:
    """Return the inner fold of each row, as `data.splits.inner_folds`.

    Without groups, or with a single one, rows are ordered by their contents, labels first, and
    dealt to the folds one after the other.
    """
    if groups is not None:
        check_consistent_length(x, groups)
        if (missing := np.flatnonzero(pd.isna(np.asarray(groups)))).size:
            raise DataError(f"groups: row {missing[0]} has none; name its group, or leave it out")
        _, codes = np.unique(np.asarray(groups), return_inverse=True)
        if codes.any():
            return inner_folds(codes, np.zeros((len(x), 2)), n_folds)
    rows = np.column_stack([y.reshape(len(x), -1), x]) + 0.0  # -0.0 becomes 0.0
    contents = np.ascontiguousarray(rows).view(np.dtype((np.void, rows[0].nbytes)))
    order = np.argsort(contents.ravel(), kind="stable")
    folds = np.empty(len(x), dtype=np.int64)
    folds[order] = np.arange(len(x)) % min(n_folds, len(x))
    return folds
