"""Scores of fitted probes for the null study (`null_study.py`).

Embeddings of two experts and thirteen methods are drawn, with shifts and random slopes that differ
between donors: ten methods that are as good as the better expert, and three with less noise. Probes
are fitted on ten other donors, or on six of the seven, and their penalty is selected on inner folds
of donors: ridge regression (R2) and logistic regression (bits). The better expert stands beside one
that is as good and beside one that is worse.
"""

import numpy as np
from jaxtyping import Float64, Int

from cell_synergy.core.random import stream
from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.design import Design, Linear

DONORS, TRAINING = 7, 10
ARMS = "holdout", "leave-one-donor-out"
# Noise of an embedding relative to that of the better expert: of an expert as good, a worse one,
# the better one, methods without a gain, and methods whose noise gives an SIS of about .05, .1, .2.
ZEROS = 10
WORSE = 1.6
QUIETER = {"r2": (0.92, 0.85, 0.71), "bits": (0.84, 0.7, 0.43)}
# Observations per donor, features, classes; deviations of shifts, slopes and noise, and the share
# of their variance that methods have in common.
UNITS, WIDTH, CLASSES = 50, 8, 3
SHIFTS, SLOPES, NOISES, IN_COMMON = 0.3, 0.3, 2.0, 0.5
STRENGTHS, INNER, TOLERANCE, ITERATIONS = (1.0, 0.1, 0.01), 3, 1e-3, 200


def noise(metric: str) -> Float64[np.ndarray, " embeddings"]:
    """Return the deviation of noise of every embedding."""
    return NOISES * np.array([1.0, WORSE, 1.0, *[1.0] * ZEROS, *QUIETER[metric]])


def embeddings(
    metric: str, rng: np.random.Generator, donors: int
) -> tuple[Float64[np.ndarray, "embeddings donors obs d"], Float64[np.ndarray, "donors obs 3"]]:
    """Draw all embeddings, and the states of the tissue: one state per class.

    Features are slopes times states, plus a shift, plus noise. Slopes differ between donors and
    between embeddings. All embeddings have the same distribution except for the standard deviation
    of the noise: at equal noise none is better than another.
    """
    deviations = noise(metric)

    def alike(*shape: int) -> Float64[np.ndarray, "embeddings ..."]:
        separate = rng.standard_normal((len(deviations), *shape))
        common = rng.standard_normal(shape)
        return np.asarray(np.sqrt(1 - IN_COMMON) * separate + np.sqrt(IN_COMMON) * common)

    states = rng.standard_normal((donors, UNITS, CLASSES))
    basis = np.linalg.qr(stream(0, "null study").standard_normal((WIDTH, CLASSES)))[0].T
    slopes = np.sqrt(WIDTH) * basis + SLOPES * alike(donors, CLASSES, WIDTH)
    seen = states @ slopes + SHIFTS * alike(donors, 1, WIDTH)
    return seen + deviations[:, None, None, None] * alike(donors, UNITS, WIDTH), states


class DonorFits:
    """Fits of one kind, "r2" or "bits", on some donors of one embedding."""

    def __init__(
        self,
        metric: str,
        z: Float64[np.ndarray, "donors obs d"],
        states: Float64[np.ndarray, "donors obs 3"],
    ) -> None:
        self.metric = metric
        self.z, self.states = z.reshape(-1, WIDTH), states.reshape(-1, CLASSES)
        self.labels: Int[np.ndarray, " rows"] = self.states.argmax(axis=1)
        self.inner = np.repeat(np.arange(len(z)), UNITS) % INNER
        self.design = Design.of(self.z)

    def chosen(self) -> tuple[Linear, float]:
        """Return the fit with the penalty that is best on inner folds, and its score there."""
        total = np.zeros(len(STRENGTHS))
        for number in range(INNER):
            rest, out = self.inner != number, self.inner == number
            fits = self._fits(self.design.part(rest), rest, STRENGTHS)
            total += out.sum() * np.array([self._inner(fit, out) for fit in fits])
        best = int(total.argmax())
        everyone = np.ones(len(self.z), dtype=bool)
        (fit,) = self._fits(self.design, everyone, STRENGTHS[best : best + 1])
        return fit, float(total[best] / len(self.z))

    def _fits(self, design: Design, rows: np.ndarray, strengths: tuple[float, ...]) -> list[Linear]:
        if self.metric == "r2":
            return design.ridge(self.states[rows], strengths)
        return design.logistic(self.labels[rows], CLASSES, strengths, TOLERANCE, ITERATIONS)

    def _inner(self, fit: Linear, rows: np.ndarray) -> float:
        if self.metric == "r2":
            return metrics.regression(self.states[rows], fit.scores(self.z[rows]))["r2"]
        shares = fit.probabilities(self.z[rows])[np.arange(rows.sum()), self.labels[rows]]
        return float(np.log2(shares).mean())


def score(
    metric: str,
    fit: Linear,
    z: Float64[np.ndarray, "obs d"],
    states: Float64[np.ndarray, "obs 3"],
) -> float:
    """Return the score on one donor; bits are those over equal shares of the classes."""
    if metric == "r2":
        return metrics.regression(states, fit.scores(z))["r2"]
    shares = fit.probabilities(z)[np.arange(len(z)), states.argmax(axis=1)]
    return float(np.log2(shares).mean() + np.log2(CLASSES))


def fitted(
    arm: str, metric: str, datasets: int
) -> tuple[Float64[np.ndarray, "datasets donors embeddings"], Float64[np.ndarray, "datasets 3"]]:
    """Draw embeddings, fit probes, and score them on held-out donors.

    Returns
    -------
    :
        Scores on held-out donors, of the three experts and then the methods; and inner scores of
        the experts.
    """
    count = len(noise(metric))
    value, inner = np.zeros((datasets, DONORS, count)), np.zeros((datasets, count))
    extra = TRAINING if arm == "holdout" else 0
    everyone = np.arange(DONORS + extra)
    for number in range(datasets):
        z, states = embeddings(metric, stream(number, "null study", arm), len(everyone))
        folds = [everyone[extra:]] if extra else [everyone[k : k + 1] for k in range(DONORS)]
        for test in folds:
            train = np.setdiff1d(everyone, test)
            for each in range(count):
                fit, cv_score = DonorFits(metric, z[each, train], states[train]).chosen()
                inner[number, each] += cv_score / len(folds)
                for donor in test:
                    value[number, donor - extra, each] = score(
                        metric, fit, z[each, donor], states[donor]
                    )
    return value, inner[:, :3]
