"""Null study of SIS: coverage of intervals, family-wise error, power with seven donors.

python benchmarks/null_study.py [ARM ...]

Every arm simulates data sets with seven test donors, two single modalities and thirteen methods:
ten that are as good as the better modality, and one each with a planted SIS near 0.05, 0.1 and 0.2.
All scores are evaluated by `sis_table`, like those of the study. The true gain is the mean gain
over all data sets, and the true SIS its ratio to the mean reference score.

`normal`, `heavy`, `right`, `left`: donors' scores are drawn, with donor shifts and random slopes
that methods share in part; noise is normal, has outliers, or is skewed to the right or to the left.
`holdout`, `leave-one-donor-out`: embeddings are drawn, with shifts and random slopes that differ
between donors. Probes are fitted on ten other donors, or on six of the seven, and their penalty is
selected on inner folds of donors: ridge regression (R2) and, in `holdout`, logistic regression
(macro F1).

Without ARM all arms are run and written to benchmarks/null_study.csv, which takes about 25 minutes
on one core.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int

from cell_synergy.core.device import use_threads
from cell_synergy.core.names import UNIMODAL
from cell_synergy.core.random import stream
from cell_synergy.downstream.probes import metrics
from cell_synergy.downstream.probes.design import Design, Linear
from cell_synergy.scoring.tables import ALL_FOLDS, sis_table

DRAWN, FITTED = 4000, 1000
DONORS, TRAINING = 7, 10
LEVEL = 0.05
ZEROS = [f"zero{i}" for i in range(10)]
PLANTED = {"small": 0.05, "middle": 0.1, "large": 0.2}
METHODS = [*UNIMODAL, *ZEROS, *PLANTED]
# Noise of an embedding relative to that of the better modality: of the other modality, and of the
# planted methods, whose noise gives about the planted SIS in each metric.
WORSE = 1.6
QUIETER = {"r2": (0.92, 0.85, 0.71), "macro_f1": (0.84, 0.7, 0.43)}
# Drawn scores: mean, deviation between donors, deviation of gains, share of their variance that
# methods have in common, and decrease of gains with the best score; as in the simulated data sets.
BEST, SPREAD, GAIN, SHARED, SLOPE = 0.6, 0.05, 0.04, 0.7, 0.3
# Drawn embeddings: observations per donor, features, classes; deviations of shifts, slopes and
# noise, and the share of their variance that methods have in common.
UNITS, WIDTH, CLASSES = 50, 8, 3
SHIFTS, SLOPES, NOISES, IN_COMMON = 0.3, 0.3, 2.0, 0.5
STRENGTHS, INNER, TOLERANCE, ITERATIONS = (1.0, 0.1, 0.01), 3, 1e-3, 200


@dataclass(frozen=True)
class Scores:
    """Scores of one arm and metric; methods in the order of `METHODS`.

    Attributes
    ----------
    value
        Scores on test donors.
    inner
        Scores on inner folds; the larger one of the first two methods selects the better modality.
    cross_validated
        Whether each donor is held out in turn, in a fold of its own.
    """

    value: Float64[np.ndarray, "datasets donors methods"]
    inner: Float64[np.ndarray, "datasets methods"]
    cross_validated: bool


def drawn(arm: str, datasets: int) -> Scores:
    """Draw donors' scores."""
    rng = stream(0, "null study", arm)

    def noise(*shape: int) -> Float64[np.ndarray, "..."]:
        if arm == "heavy":
            wide = np.where(rng.random(shape) < 0.1, 3.0, 1.0)  # noqa: PLR2004 - one in ten
            return np.asarray(rng.standard_normal(shape) * wide / np.sqrt(1.8))
        if arm == "normal":
            return rng.standard_normal(shape)
        return np.asarray((rng.gamma(4.0, size=shape) - 4) / 2 * (-1 if arm == "left" else 1))

    shift = noise(datasets, DONORS, 1)
    planted = np.array([PLANTED.get(name, 0.0) for name in METHODS[2:]])
    gain = np.sqrt(SHARED) * noise(datasets, DONORS, 1)
    gain = gain + np.sqrt(1 - SHARED) * noise(datasets, DONORS, len(planted))
    best = BEST + SPREAD * shift
    methods = best + BEST * planted + GAIN * gain - SLOPE * SPREAD * shift
    value = np.concatenate([best - 0.1, best, methods], axis=2)
    return Scores(value, value.mean(axis=1), cross_validated=False)


def embeddings(
    metric: str, rng: np.random.Generator, donors: int
) -> tuple[Float64[np.ndarray, "methods donors obs d"], Float64[np.ndarray, "donors obs 3"]]:
    """Draw the embeddings of every method, and the states of the tissue: one state per class.

    Features are slopes times states, plus a shift, plus noise. Slopes differ between donors and
    between methods. All embeddings have the same distribution except for the standard deviation of
    the noise: at equal noise no method is better than another.
    """

    def alike(*shape: int) -> Float64[np.ndarray, "methods ..."]:
        own = rng.standard_normal((len(METHODS), *shape))
        common = rng.standard_normal(shape)
        return np.asarray(np.sqrt(1 - IN_COMMON) * own + np.sqrt(IN_COMMON) * common)

    states = rng.standard_normal((donors, UNITS, CLASSES))
    basis = np.linalg.qr(stream(0, "null study").standard_normal((WIDTH, CLASSES)))[0].T
    slopes = np.sqrt(WIDTH) * basis + SLOPES * alike(donors, CLASSES, WIDTH)
    noise = NOISES * np.array([WORSE, 1.0, *[1.0] * len(ZEROS), *QUIETER[metric]])
    seen = states @ slopes + SHIFTS * alike(donors, 1, WIDTH)
    return seen + noise[:, None, None, None] * alike(donors, UNITS, WIDTH), states


class DonorFits:
    """Fits of one kind, "r2" or "macro_f1", on some donors of one embedding."""

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
        return float(np.log(shares).mean())


def score(
    metric: str,
    fit: Linear,
    z: Float64[np.ndarray, "obs d"],
    states: Float64[np.ndarray, "obs 3"],
) -> float:
    """Return the score on one donor."""
    if metric == "r2":
        return metrics.regression(states, fit.scores(z))["r2"]
    prior = np.full(CLASSES, 1 / CLASSES)
    return metrics.classification(states.argmax(axis=1), fit.probabilities(z), prior)["macro_f1"]


def fitted(arm: str, metric: str, datasets: int) -> Scores:
    """Draw embeddings, fit probes and score them on held-out donors."""
    value = np.zeros((datasets, DONORS, len(METHODS)))
    inner = np.zeros((datasets, len(METHODS)))
    extra = TRAINING if arm == "holdout" else 0
    everyone = np.arange(DONORS + extra)
    for number in range(datasets):
        z, states = embeddings(metric, stream(number, "null study", arm), len(everyone))
        folds = [everyone[extra:]] if extra else [everyone[k : k + 1] for k in range(DONORS)]
        for test in folds:
            train = np.setdiff1d(everyone, test)
            for method in range(len(METHODS)):
                fit, cv_score = DonorFits(metric, z[method, train], states[train]).chosen()
                inner[number, method] += cv_score / len(folds)
                for donor in test:
                    value[number, donor - extra, method] = score(
                        metric, fit, z[method, donor], states[donor]
                    )
    return Scores(value, inner, cross_validated=not extra)


def tidy(scores: Scores) -> pd.DataFrame:
    """Return a tidy score table with one name per simulated data set."""
    datasets, donors, methods = scores.value.shape
    names = [f"{i:05}" for i in range(datasets)], [f"D{i}" for i in range(donors)], METHODS
    table = pd.MultiIndex.from_product(names, names=["dataset", "donor", "method"]).to_frame(
        index=False
    )
    inner = np.broadcast_to(scores.inner[:, None], (datasets, donors, methods))
    return table.assign(
        task="simulated", metric="r2", probe="linear", seed=0, n=UNITS,
        fold=table["donor"] if scores.cross_validated else "holdout",
        value=scores.value.ravel(), inner=inner.ravel(),
    )  # fmt: skip


def report(scores: Scores) -> Iterator[dict[str, object]]:
    """Yield coverage of every kind of method, the family-wise error, and the power.

    p values are corrected over ten methods: the error is that of the ten methods without a gain,
    the power that of one planted method beside nine methods without a gain.
    """
    table = tidy(scores)
    for group in (ZEROS, *([name] for name in PLANTED)):
        others = ZEROS[1:] if group != ZEROS else []
        family = table[table["method"].isin([*UNIMODAL, *group, *others])]
        found = sis_table(family)
        found = found[found["method"].isin(group) & (found["fold"] == ALL_FOLDS)]
        means = found.groupby("method")[["gain", "best_score"]].mean()
        gain = found["method"].map(means["gain"])
        sis = gain / found["method"].map(means["best_score"])
        significant = found["p_corrected"] <= LEVEL
        yield {
            "methods": "zeros" if group == ZEROS else group[0],
            "datasets": found["dataset"].nunique(),
            "truth": (means["gain"] / means["best_score"]).mean(),
            "largest_sis": found.groupby("dataset")["sis"].max().mean(),
            "covers_sis": found["low"].le(sis).mul(found["high"].ge(sis)).mean(),
            "covers_gain": found["gain_low"].le(gain).mul(found["gain_high"].ge(gain)).mean(),
            "significant": (found["p"] <= LEVEL).mean(),
            "significant_corrected": significant.groupby(found["dataset"]).any().mean(),
        }


ARMS: dict[str, list[str]] = {
    "normal": [],
    "heavy": [],
    "right": [],
    "left": [],
    "holdout": ["r2", "macro_f1"],
    "leave-one-donor-out": ["r2"],
}


def run(arm: str, datasets: int) -> pd.DataFrame:
    """Return the results of one arm, one row per metric and kind of method."""
    tables = []
    for metric in ARMS[arm] or [""]:
        scores = fitted(arm, metric, datasets) if metric else drawn(arm, datasets)
        tables.append(pd.DataFrame({"arm": arm, "metric": metric, **row} for row in report(scores)))
    return pd.concat(tables, ignore_index=True)


def main(arms: list[str]) -> None:
    """Print the named arms, or print and write all."""
    use_threads(1)
    tables = []
    for arm in arms or ARMS:
        tables.append(run(arm, FITTED if ARMS[arm] else DRAWN))
        print(tables[-1].to_string(index=False, float_format="%.3f"), flush=True)
    if not arms:
        written = Path(__file__).with_suffix(".csv")
        pd.concat(tables).to_csv(written, index=False, float_format="%.4f")


if __name__ == "__main__":
    main(sys.argv[1:])
