"""CCA: the directions of the two embeddings that are most correlated.

Hotelling 1936, "Relations between two sets of variates". With covariances `C11`, `C22`, `C12` of
the training rows, the singular value decomposition of `C11^-1/2 C12 C22^-1/2` gives the canonical
correlations and directions; `z3` is both projections, concatenated. Each covariance gets a ridge
(Vinod 1976), relative to its mean eigenvalue, without which n < d has no solution.

Departures: the square roots are Cholesky factors (same canonical variates, no eigenvalues).
"""

import numpy as np
from jaxtyping import Float32, Float64
from pydantic import PositiveFloat, PositiveInt
from scipy.linalg import cholesky, solve_triangular

from cell_synergy.errors import ConfigError
from cell_synergy.models import Method, Pairs, Run, Weights


class Model(Method):
    """`components` per modality; `ridge` as a share of the mean variance."""

    components: PositiveInt
    ridge: PositiveFloat

    def fit(self, pairs: Pairs, run: Run) -> Weights:
        x1, x2 = (_centred(x) for x in (pairs.image, pairs.expression))
        if self.components > (most := min(x1.shape[1], x2.shape[1])):
            raise ConfigError(f"models.cca.components: {self.components}, the data allow {most}")
        l1, l2 = (_factor(x, self.ridge) for x in (x1, x2))
        c12 = x1.T @ x2 / len(x1)
        whitened = solve_triangular(l2, solve_triangular(l1, c12, lower=True).T, lower=True).T
        u, correlations, vt = np.linalg.svd(whitened, full_matrices=False)
        k = self.components
        signs = np.sign(u[np.abs(u[:, :k]).argmax(axis=0), np.arange(k)])
        return {
            "image": solve_triangular(l1.T, u[:, :k] * signs).astype(np.float32),
            "expression": solve_triangular(l2.T, vt[:k].T * signs).astype(np.float32),
            "correlations": correlations[:k].astype(np.float32),
        }

    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "units d1"],
        expression: Float32[np.ndarray, "units d2"],
    ) -> Float32[np.ndarray, "units d3"]:
        return np.concatenate(
            [image @ weights["image"], expression @ weights["expression"]], axis=1
        )


def _centred(x: Float32[np.ndarray, "units d"]) -> Float64[np.ndarray, "units d"]:
    centred: Float64[np.ndarray, "units d"] = x - x.mean(axis=0, dtype=np.float64)
    return centred


def _factor(x: Float64[np.ndarray, "units d"], ridge: float) -> Float64[np.ndarray, "d d"]:
    """Return the lower Cholesky factor of the covariance with its ridge."""
    covariance = x.T @ x / len(x)
    covariance.flat[:: len(covariance) + 1] += ridge * np.trace(covariance) / len(covariance)
    factor: Float64[np.ndarray, "d d"] = cholesky(covariance, lower=True)
    return factor
