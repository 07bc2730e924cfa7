"""Canonical correlations of pairs, their null distribution and their correction for noise.

The docstring of the package `cell_synergy.studies.spectrum` has the theory and its sources.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Shaped

from cell_synergy.core.permutation import within_donor_permutation
from cell_synergy.studies.spectrum.whitening import whitenings
from cell_synergy.training.cca import Covariances, covariances


@dataclass(frozen=True)
class CentredPairs:
    """Pairs of embeddings, centred within donors.

    Attributes
    ----------
    image, expression
        Embeddings with mean 0 in each donor.
    donor
        Donor of each observation.
    """

    image: Float64[np.ndarray, "obs d1"]
    expression: Float64[np.ndarray, "obs d2"]
    donor: Shaped[np.ndarray, " obs"]

    @classmethod
    def of(
        cls,
        image: Float[np.ndarray, "obs d1"],
        expression: Float[np.ndarray, "obs d2"],
        donor: Shaped[np.ndarray, " obs"],
    ) -> "CentredPairs":
        """Return pairs of embeddings minus their means over the observations of each donor.

        Parameters
        ----------
        image, expression, donor
            Embeddings of both modalities, and donor of each observation.
        """
        image, expression = (centre_within_donors(x, donor) for x in (image, expression))
        return cls(image, expression, donor)

    def subset(self, rows: Int[np.ndarray, " rows"]) -> "CentredPairs":
        """Return the pairs at the indices `rows`, centred within donors anew."""
        return CentredPairs.of(self.image[rows], self.expression[rows], self.donor[rows])

    @property
    def freedom(self) -> int:
        """Degrees of freedom, observations minus donors; n in all formulas."""
        return len(self.donor) - len(np.unique(self.donor))

    def permuted(self, rng: np.random.Generator) -> "CentredPairs":
        """Return pairs whose expression rows are permuted within each donor."""
        return replace(self, expression=self.expression[within_donor_permutation(self.donor, rng)])


@dataclass(frozen=True)
class Spectrum:
    """Canonical correlations of a sample in descending order, and their directions.

    Attributes
    ----------
    correlations
        Sample correlations, which are positive also for independent noise.
    image, expression
        Canonical directions, one per column; projections on them have variance 1. The entry of
        largest absolute value of each image direction is positive.
    p, q
        Numbers of principal axes of image and expression that were analysed.
    freedom
        Degrees of freedom: observations minus donors.
    """

    correlations: Float64[np.ndarray, " k"]
    image: Float64[np.ndarray, "d1 k"]
    expression: Float64[np.ndarray, "d2 k"]
    p: int
    q: int
    freedom: int

    @property
    def estimable(self) -> bool:
        """Whether population correlations can be estimated: p + q < `freedom`."""
        return self.p + self.q < self.freedom

    @property
    def edge(self) -> float:
        """Wachter edge: limit of the largest sample correlation of independent modalities."""
        return wachter_edge(self.p, self.q, self.freedom)

    def corrected(self, edge: float) -> Float64[np.ndarray, " k"]:
        """Estimate the population correlations: 0 for sample correlations up to `edge`.

        All are NaN unless `estimable`.
        """
        if not self.estimable:
            return np.full(len(self.correlations), np.nan)
        estimates = population_correlations(self.correlations, self.p, self.q, self.freedom)
        return np.where(self.correlations > edge, estimates, 0.0)

    def shared(self, edge: float) -> "SharedDirections":
        """Return the directions whose sample correlation is above `edge`.

        There are none unless `estimable`.
        """
        corrected = self.corrected(edge)
        mask = corrected > 0
        return SharedDirections(corrected[mask], self.image[:, mask], self.expression[:, mask])


@dataclass(frozen=True)
class SharedDirections:
    """Canonical directions of two embeddings with correlations above the edge of noise.

    Attributes
    ----------
    correlations
        Estimated population correlations.
    image, expression
        Directions, one per column; there may be none.
    """

    correlations: Float64[np.ndarray, " k"]
    image: Float64[np.ndarray, "d1 k"]
    expression: Float64[np.ndarray, "d2 k"]

    def variates(
        self, image: Float[np.ndarray, "obs d1"], expression: Float[np.ndarray, "obs d2"]
    ) -> Float32[np.ndarray, "obs _"]:
        """Return the k variates of the image, then the k of the expression, then a column of zeros.

        The column of zeros gives probes a feature even if there are no directions.

        Parameters
        ----------
        image, expression
            Embeddings of both modalities.
        """
        columns = [image @ self.image, expression @ self.expression, np.zeros((len(image), 1))]
        return np.concatenate(columns, axis=1).astype(np.float32)


def centre_within_donors(
    x: Float[np.ndarray, "obs d"], donor: Shaped[np.ndarray, " obs"]
) -> Float64[np.ndarray, "obs d"]:
    """Return features minus their means over the observations of each donor.

    Parameters
    ----------
    x, donor
        Features, and donor of each observation.
    """
    centred = x.astype(np.float64)
    for name in np.unique(donor):
        mask = donor == name
        centred[mask] -= centred[mask].mean(axis=0)
    return centred


def wachter_edge(p: int, q: int, n: int) -> float:
    """Return the limit of the largest sample canonical correlation of two independent modalities.

    As p, q and n grow in constant proportion it is `sqrt(p/n (1 - q/n)) + sqrt(q/n (1 - p/n))`
    (Wachter 1980); 1 if p + q >= n.

    Parameters
    ----------
    p, q, n
        Number of features of the first modality, of the second, and degrees of freedom:
        observations, minus donors if features were centred within donors.
    """
    if p + q >= n:
        return 1.0
    first, second = p / n, q / n
    return float(np.sqrt(first * (1 - second)) + np.sqrt(second * (1 - first)))


def population_correlations(
    correlations: Float[np.ndarray, " k"], p: int, q: int, n: int
) -> Float64[np.ndarray, " k"]:
    """Return the population correlations that sample correlations estimate.

    An estimate is the larger root of the relation of Bao et al. 2019; it is 0 up to the Wachter
    edge, where sample correlations identify no population correlation.

    Parameters
    ----------
    correlations, p, q, n
        Sample correlations; the others as for `wachter_edge`, with p + q < n.
    """
    first, second = p / n, q / n
    square = correlations.astype(np.float64) ** 2
    lead = (1 - first) * (1 - second)
    linear = first * (1 - second) + second * (1 - first) - square
    inside = linear**2 - 4 * lead * first * second
    root = (np.sqrt(np.maximum(inside, 0)) - linear) / (2 * lead)
    above = correlations > wachter_edge(p, q, n)
    return np.where(above, np.sqrt(np.clip(root, 0, 1)), 0.0)


def spectrum(pairs: CentredPairs, axes: int | None) -> Spectrum:
    """Return the canonical correlations and directions of pairs, from their covariances.

    Parameters
    ----------
    pairs
        Centred pairs; with fewer degrees of freedom than features, correlations of 1 are trivial.
    axes
        Maximal number of leading principal axes of each embedding to analyse; None for all axes
        with positive variance.

    Raises
    ------
    DataError
        If no feature of a modality varies within donors.
    """
    moments = covariances(pairs.image, pairs.expression)
    return _canonical_spectrum(moments, *whitenings(moments, axes), pairs.freedom)


def permutation_null(
    pairs: CentredPairs, axes: int | None, permutations: int, rng: np.random.Generator
) -> Float64[np.ndarray, "permutations k"]:
    """Return canonical correlations after permutations of the expression rows within donors.

    One row per permutation, each in descending order. Permutations leave the covariances of both
    modalities unchanged, so that one whitening serves all.

    Parameters
    ----------
    pairs
        Centred pairs.
    axes
        Maximal number of leading principal axes of each embedding; None for all axes with positive
        variance.
    permutations
        Number of permutations.
    rng
        Random generator of the permutations.

    Raises
    ------
    DataError
        If no feature of a modality varies within donors.
    """
    t1, t2 = whitenings(covariances(pairs.image, pairs.expression), axes)
    first, second = pairs.image @ t1, pairs.expression @ t2
    correlations = []
    for _ in range(permutations):
        cross = first.T @ second[within_donor_permutation(pairs.donor, rng)] / len(first)
        tall = cross if len(cross) >= len(cross.T) else cross.T
        squares = np.linalg.eigvalsh(tall.T @ tall)[::-1]
        correlations.append(np.sqrt(np.clip(squares, 0, 1)))
    return np.array(correlations)


def held_out_correlations(
    fitted: Spectrum, pairs: CentredPairs
) -> dict[str, Float64[np.ndarray, " k"]]:
    """Return the signed correlation of held-out pairs along each canonical direction, by donor.

    A correlation is 0 if the donor's pairs do not vary along the direction.

    Parameters
    ----------
    fitted, pairs
        Spectrum of the training pairs, and held-out pairs, centred within donors.
    """
    variates = pairs.image @ fitted.image, pairs.expression @ fitted.expression
    values = {}
    for name in np.unique(pairs.donor):
        first, second = (variate[pairs.donor == name] for variate in variates)
        norms = np.linalg.norm(first, axis=0) * np.linalg.norm(second, axis=0)
        products = (first * second).sum(axis=0)
        values[str(name)] = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
    return values


def _canonical_spectrum(
    moments: Covariances,
    t1: Float64[np.ndarray, "d1 p"],
    t2: Float64[np.ndarray, "d2 q"],
    freedom: int,
) -> Spectrum:
    u, correlations, vt = np.linalg.svd(t1.T @ moments.cross @ t2, full_matrices=False)
    first, second = t1 @ u, t2 @ vt.T
    signs = np.sign(first[np.abs(first).argmax(axis=0), np.arange(first.shape[1])])
    return Spectrum(
        np.clip(correlations, 0, 1), first * signs, second * signs, t1.shape[1], t2.shape[1],
        freedom,
    )  # fmt: skip
