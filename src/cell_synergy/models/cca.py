"""CCA: projections of the two embeddings on their most correlated directions.

Hotelling 1936, "Relations between two sets of variates". With covariances `C11`, `C22`, `C12` of
the training rows, the singular value decomposition of `C11^-1/2 C12 C22^-1/2` gives the canonical
correlations and directions; `z3` concatenates both projections. A ridge relative to the mean
variance is added to each covariance (Vinod 1976), without which fewer observations than features
have no solution. Results are tested against cca-zoo 4.0.1 (jameschapman19/cca_zoo).

Departures: the square roots are Cholesky factors, which give the same canonical variates.
"""

import numpy as np
from jaxtyping import Float32
from pydantic import PositiveFloat, PositiveInt

from cell_synergy.core.errors import ConfigError
from cell_synergy.training.cca import covariances, solve
from cell_synergy.training.method import ClosedForm, Pairs, Weights


class Model(ClosedForm):
    """Regularised CCA.

    Attributes
    ----------
    components
        Number of directions per modality; the joint embedding has twice as many features.
    ridge
        Constant added to each variance, as a share of the modality's mean variance.
    """

    components: PositiveInt
    ridge: PositiveFloat

    def solve(self, pairs: Pairs, seed: int) -> Weights:
        n_max = min(pairs.image.shape[1], pairs.expression.shape[1])
        if self.components > n_max:
            raise ConfigError(f"models.cca.components: {self.components}, the data allow {n_max}")
        solution = solve(covariances(pairs.image, pairs.expression), self.ridge, self.components)
        return {
            "image": solution.image.astype(np.float32),
            "expression": solution.expression.astype(np.float32),
            "correlations": solution.correlations.astype(np.float32),
        }

    def transform(
        self,
        weights: Weights,
        image: Float32[np.ndarray, "obs d1"],
        expression: Float32[np.ndarray, "obs d2"],
    ) -> Float32[np.ndarray, "obs d3"]:
        return np.concatenate(
            [image @ weights["image"], expression @ weights["expression"]], axis=1
        )
