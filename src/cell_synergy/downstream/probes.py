"""Linear probes: multinomial logistic regression and ridge regression, solved exactly.

Inputs are standardised features. The strength of the penalty is per training unit: the objective is
the mean loss plus `strength / 2` times the squared norm of the coefficients (not of the intercept).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import logsumexp

Matrix = Float[np.ndarray, "_ _"]


@dataclass(frozen=True)
class Linear:
    """A fitted linear map and how well its optimum was reached.

    Attributes
    ----------
    coefficients, intercept
        Scores are `x @ coefficients + intercept`.
    gradient_norm
        Largest absolute entry of the objective's gradient at the solution, in the optimiser's
        coordinates.
    iterations
        Of the optimiser; 0 for a closed form.
    """

    coefficients: Float[np.ndarray, "d outputs"]
    intercept: Float[np.ndarray, " outputs"]
    gradient_norm: float
    iterations: int

    def scores(self, x: Float[np.ndarray, "units d"]) -> Float[np.ndarray, "units outputs"]:
        """Return predictions of a ridge probe, logits of a logistic one."""
        scores: Float[np.ndarray, "units outputs"] = x @ self.coefficients + self.intercept
        return scores

    def probabilities(self, x: Float[np.ndarray, "units d"]) -> Float[np.ndarray, "units outputs"]:
        """Return the class probabilities of a logistic probe."""
        logits = self.scores(x)
        shares: Float[np.ndarray, "units outputs"] = np.exp(
            logits - logsumexp(logits, axis=1, keepdims=True)
        )
        return shares


class Gram:
    """One data matrix, prepared for fits of any strength: its centred Gram matrix is shared."""

    def __init__(self, x: Float[np.ndarray, "units d"]) -> None:
        self.x = np.asarray(x, dtype=np.float64)
        self.mean = self.x.mean(axis=0)
        self.centred = self.x - self.mean
        self.covariance = self.centred.T @ self.centred / len(x)
        self._whitened: dict[float, tuple[Matrix, Matrix, Matrix]] = {}

    def ridge(self, y: Float[np.ndarray, "units outputs"], strength: float) -> Linear:
        """Fit ridge regression in closed form; `y` has one column per output."""
        offset = y.mean(axis=0)
        right = self.centred.T @ (y - offset) / len(y)
        factor = self._factor(1.0, strength)
        half = solve_triangular(factor, right, lower=True)
        coefficients = solve_triangular(factor, half, lower=True, trans="T")
        rest = self.covariance @ coefficients + strength * coefficients - right
        return Linear(coefficients, offset - self.mean @ coefficients, float(abs(rest).max()), 0)

    def logistic(
        self,
        y: Int[np.ndarray, " units"],
        classes: int,
        strength: float,
        tolerance: float,
        iterations: int,
    ) -> Linear:
        """Fit multinomial logistic regression with L-BFGS, preconditioned by the Gram matrix.

        The Hessian of the mean loss is at most half the covariance of the features (Böhning 1992),
        so in coordinates whitened by the Cholesky factor of `covariance / 2 + strength` it is close
        to the identity, and the optimiser needs few iterations.

        Parameters
        ----------
        y
            Class of each unit, 0 to `classes` - 1.
        tolerance
            On the largest entry of the preconditioned gradient.
        iterations
            Most iterations of L-BFGS.
        """
        factor, whitened, metric = self._whiten(strength)
        onehot = np.eye(classes)[y]
        d = whitened.shape[1]

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            v = flat.reshape(d + 1, classes)
            logits = whitened @ v[:-1] + v[-1]
            log_p = logits - logsumexp(logits, axis=1, keepdims=True)
            residual = (np.exp(log_p) - onehot) / len(y)
            penalty = metric @ v[:-1]
            value = -(log_p * onehot).sum() / len(y) + 0.5 * (v[:-1] * penalty).sum()
            gradient = np.vstack([whitened.T @ residual + penalty, residual.sum(axis=0)])
            return float(value), gradient.ravel()

        start = np.zeros((d + 1, classes))
        start[-1] = np.log(np.maximum(onehot.mean(axis=0), 1 / (2 * len(y))))
        options = {"maxiter": iterations, "gtol": tolerance, "ftol": 0.0, "maxcor": 20}
        found = minimize(  # type: ignore[call-overload]  # the stubs want one axis
            objective, start.ravel(), jac=True, method="L-BFGS-B", options=options
        )
        v = found.x.reshape(d + 1, classes)
        coefficients = solve_triangular(factor, v[:-1], lower=True, trans="T")
        return Linear(
            coefficients, v[-1] - self.mean @ coefficients, float(abs(found.jac).max()), found.nit
        )

    def _whiten(self, strength: float) -> tuple[Matrix, Matrix, Matrix]:
        """Return factor, whitened data and the penalty's matrix; every task shares them."""
        if strength not in self._whitened:
            factor = self._factor(0.5, strength)
            inverse = solve_triangular(factor, np.eye(len(factor)), lower=True)
            self._whitened[strength] = (
                factor, self.centred @ inverse.T, strength * inverse @ inverse.T,
            )  # fmt: skip
        return self._whitened[strength]

    def _factor(self, share: float, strength: float) -> Float[np.ndarray, "d d"]:
        matrix = share * self.covariance
        matrix.flat[:: len(matrix) + 1] += strength
        factor: Float[np.ndarray, "d d"] = cholesky(matrix, lower=True)
        return factor
