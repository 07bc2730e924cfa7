"""Canonical correlations of any number of pairs, their null, and what is left after it.

The theory, with sources, stands at the top of the package.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int64, Shaped

from cell_synergy.core.errors import DataError
from cell_synergy.training.cca import Covariances, covariances

_ROUNDING = 1e-10  # share of the largest variance below which an axis is rounding


@dataclass(frozen=True)
class Within:
    """Pairs of which each donor's means were taken out.

    Attributes
    ----------
    image, expression
        Embeddings, of mean 0 in each donor.
    donor
        Whose tissue each unit is.
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
    ) -> "Within":
        """Take out each donor's means."""
        return cls(within(image, donor), within(expression, donor), donor)

    def some(self, rows: Int[np.ndarray, " rows"]) -> "Within":
        """Return some of the units, centred anew."""
        return Within.of(self.image[rows], self.expression[rows], self.donor[rows])

    @property
    def freedom(self) -> int:
        """Units less donors: the n of all formulas."""
        return len(self.donor) - len(np.unique(self.donor))

    def shuffled(self, draws: np.random.Generator) -> "Within":
        """Return pairs whose expression is permuted within each donor."""
        return replace(self, expression=self.expression[shuffle(self.donor, draws)])


@dataclass(frozen=True)
class Spectrum:
    """Canonical correlations of a sample, descending, and the directions that have them.

    Attributes
    ----------
    correlations
        Of the sample; of noise too they are above 0.
    image, expression
        One direction per column; the projections of the units have variance 1. The largest entry
        of each image direction is positive.
    p, q
        Dimensions of the image and the expression among which directions were looked for.
    freedom
        Units less donors.
    """

    correlations: Float64[np.ndarray, " k"]
    image: Float64[np.ndarray, "d1 k"]
    expression: Float64[np.ndarray, "d2 k"]
    p: int
    q: int
    freedom: int

    @property
    def estimable(self) -> bool:
        """Whether some correlation could be told from noise: p + q < n."""
        return self.p + self.q < self.freedom

    @property
    def edge(self) -> float:
        """The largest correlation of pure noise."""
        return wachter(self.p, self.q, self.freedom)

    def corrected(self, edge: float) -> Float64[np.ndarray, " k"]:
        """Return population correlations, 0 for a sample correlation not above `edge`.

        NaN where they are not estimable.
        """
        if not self.estimable:
            return np.full(len(self.correlations), np.nan)
        found = population(self.correlations, self.p, self.q, self.freedom)
        return np.where(self.correlations > edge, found, 0.0)

    def shared(self, edge: float) -> "Shared":
        """Return the directions whose correlation is above `edge`."""
        corrected = self.corrected(edge)
        kept = corrected > 0
        return Shared(corrected[kept], self.image[:, kept], self.expression[:, kept])


@dataclass(frozen=True)
class Shared:
    """What two embeddings share linearly, as far as it can be told from noise.

    Attributes
    ----------
    correlations
        Of the population.
    image, expression
        One direction per column; there may be none.
    """

    correlations: Float64[np.ndarray, " k"]
    image: Float64[np.ndarray, "d1 k"]
    expression: Float64[np.ndarray, "d2 k"]

    def variates(
        self, image: Float[np.ndarray, "obs d1"], expression: Float[np.ndarray, "obs d2"]
    ) -> Float32[np.ndarray, "obs _"]:
        """Return both sides' canonical variates, and a constant, so that there is a column."""
        sides = [image @ self.image, expression @ self.expression, np.zeros((len(image), 1))]
        return np.concatenate(sides, axis=1).astype(np.float32)


def within(
    x: Float[np.ndarray, "obs d"], donor: Shaped[np.ndarray, " obs"]
) -> Float64[np.ndarray, "obs d"]:
    """Return features less the mean of their donor's units."""
    centred = x.astype(np.float64)
    for name in np.unique(donor):
        own = donor == name
        centred[own] -= centred[own].mean(axis=0)
    return centred


def shuffle(
    donor: Shaped[np.ndarray, " obs"], draws: np.random.Generator
) -> Int64[np.ndarray, " obs"]:
    """Return an order that permutes the units of each donor."""
    order = np.arange(len(donor))
    for name in np.unique(donor):
        own = np.flatnonzero(donor == name)
        order[own] = draws.permutation(own)
    return order


def wachter(p: int, q: int, n: int) -> float:
    """Return the largest correlation of p with q features of n units of pure noise."""
    if p + q >= n:
        return 1.0
    first, second = p / n, q / n
    return float(np.sqrt(first * (1 - second)) + np.sqrt(second * (1 - first)))


def population(
    correlations: Float[np.ndarray, " k"], p: int, q: int, n: int
) -> Float64[np.ndarray, " k"]:
    """Return the population correlations that give these sample correlations as p, q and n grow.

    The larger root of Bao et al.'s relation; 0 up to the edge of noise, where there is none.
    """
    first, second = p / n, q / n
    square = correlations.astype(np.float64) ** 2
    lead = (1 - first) * (1 - second)
    linear = first * (1 - second) + second * (1 - first) - square
    inside = linear**2 - 4 * lead * first * second
    root = (np.sqrt(np.maximum(inside, 0)) - linear) / (2 * lead)
    above = correlations > wachter(p, q, n)
    return np.where(above, np.sqrt(np.clip(root, 0, 1)), 0.0)


def spectrum(pairs: Within, axes: int | None) -> Spectrum:
    """Return the canonical correlations of some pairs, from one Gram matrix.

    Parameters
    ----------
    pairs
        As many as there are; with fewer than features, correlations of 1 come for free.
    axes
        Leading principal axes of each embedding to look in; every axis that varies if None.
    """
    moments = covariances(pairs.image, pairs.expression)
    return _solved(moments, *_whitenings(moments, axes), pairs.freedom)


def null(
    pairs: Within, axes: int | None, permutations: int, draws: np.random.Generator
) -> Float64[np.ndarray, "permutations k"]:
    """Return the correlations of each of `permutations` shuffles of the pairs within donors.

    Shuffles change neither covariance: units are whitened once.
    """
    t1, t2 = _whitenings(covariances(pairs.image, pairs.expression), axes)
    first, second = pairs.image @ t1, pairs.expression @ t2
    found = []
    for _ in range(permutations):
        cross = first.T @ second[shuffle(pairs.donor, draws)] / len(first)
        tall = cross if len(cross) >= len(cross.T) else cross.T
        squares = np.linalg.eigvalsh(tall.T @ tall)[::-1]
        found.append(np.sqrt(np.clip(squares, 0, 1)))
    return np.array(found)


def held_out(found: Spectrum, pairs: Within) -> dict[str, Float64[np.ndarray, " k"]]:
    """Return, for each donor of pairs not learnt from, the correlations of the same directions."""
    projected = pairs.image @ found.image, pairs.expression @ found.expression
    values = {}
    for name in np.unique(pairs.donor):
        first, second = (side[pairs.donor == name] for side in projected)
        norms = np.linalg.norm(first, axis=0) * np.linalg.norm(second, axis=0)
        products = (first * second).sum(axis=0)
        values[str(name)] = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
    return values


def _whitenings(
    moments: Covariances, axes: int | None
) -> tuple[Float64[np.ndarray, "d1 p"], Float64[np.ndarray, "d2 q"]]:
    """Return maps to the leading principal axes of each modality, in units of their deviations.

    Raises
    ------
    DataError
        If nothing of a modality varies within donors.
    """
    for name, covariance in (("image", moments.image), ("expression", moments.expression)):
        if not np.diag(covariance).any():
            raise DataError(
                f"{name}: none of its {len(covariance)} features varies within donors; embed again"
            )
    return _whitening(moments.image, axes), _whitening(moments.expression, axes)


def _whitening(
    covariance: Float64[np.ndarray, "d d"], axes: int | None
) -> Float64[np.ndarray, "d k"]:
    variances, vectors = np.linalg.eigh(covariance)
    varies = variances > _ROUNDING * variances[-1]
    leading = np.flatnonzero(varies)[::-1][:axes]
    whitening: Float64[np.ndarray, "d k"] = vectors[:, leading] / np.sqrt(variances[leading])
    return whitening


def _solved(
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
