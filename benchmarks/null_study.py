"""Null study: coverage of intervals, family-wise error and power of gains over both experts.

python -m benchmarks.null_study datasets=2000 fitted=600 out=benchmarks/null_study.csv

Every row simulates data sets with two experts and ten fusion methods that are as good as the better
expert, of which some may be worse instead (`losers`). `difference` is that of the two experts'
true scores. `family_wise` is the share of data sets with a corrected p value of at most .05 for a
method without a gain, `power_X` that for one method with a planted SIS of X beside the others, and
`bias` the mean estimate of a gain that is 0. Columns `_before` are those of an older rule: gains
over the expert with the better inner score, with each method's own root mean square as scale.

Noise `normal`, `heavy` (one in ten values is three times as wide), `left 1` (gamma, skewness -1),
`left 2` (exponential, skewness -2), `left lognormal` (skewness -3.7) and `unequal` (donors of
unequal spread): donors' scores are drawn, with gains that methods share in part and whose spread
differs between methods. In bits, gains are shares of the entropy of a donor's labels, which differs
between donors. `holdout` and `leave-one-donor-out`: embeddings are drawn and probes are fitted
(`_null_fits.py`).

`datasets` is the number of data sets of a row of drawn scores, `fitted` that of a row of fitted
probes. Takes about 20 minutes on one core.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64
from pydantic import PositiveInt

from benchmarks import _null_fits as null_fits
from cell_synergy.core.config import Config, arguments
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.random import stream
from cell_synergy.scoring.gains import largest_p, smaller_gain
from cell_synergy.scoring.inference import EXACT_DONORS, inflation, ratio_interval

LEVEL = 0.05
PLANTED = (0.05, 0.1, 0.2)
NOISES = "normal", "heavy", "left 1", "left 2", "left lognormal", "unequal"
METHODS = [f"method{i}" for i in range(10)]
# Drawn scores: mean of the better expert, deviations between donors, of experts and of gains, share
# of the variance of gains that methods have in common, logarithmic deviation of their spread, and
# deviation of inner scores; losers have an SIS of -.05 to -.4. Entropies in bits.
BEST, SPREAD, EXPERT, GAIN, SHARED, UNLIKE, INNER = 0.6, 0.05, 0.02, 0.04, 0.5, 0.3, 0.02
LOSSES = (0.05, 0.4)
ENTROPY, ENTROPY_SPREAD = 1.5, 0.15
ELEMENTS = 1e6  # of the largest array: data sets are evaluated in chunks


class Args(Config):
    """Numbers of data sets per row, of drawn scores and of fitted probes, and the output."""

    datasets: PositiveInt
    fitted: PositiveInt
    out: Path


@dataclass(frozen=True)
class Scores:
    """Scores of many data sets.

    Attributes
    ----------
    experts, methods
        Scores of the two experts and of the methods; chance scores 0.
    inner
        Inner scores of the experts; the larger one selects the better expert.
    entropy
        Entropy of the donors' labels; None where gains are not divided by it.
    cross_validated
        Whether each donor is held out in turn.
    """

    experts: Float64[np.ndarray, "datasets donors 2"]
    methods: Float64[np.ndarray, "datasets donors methods"]
    inner: Float64[np.ndarray, "datasets 2"]
    entropy: Float64[np.ndarray, "datasets donors"] | None
    cross_validated: bool

    @property
    def differences(self) -> Float64[np.ndarray, "datasets 2 donors methods"]:
        """Scores of methods minus those of each expert."""
        return np.asarray(self.methods[:, None] - np.moveaxis(self.experts, 2, 1)[..., None])

    def part(self, rows: slice) -> "Scores":
        """Return some of the data sets."""
        entropy = None if self.entropy is None else self.entropy[rows]
        experts, methods, inner = (x[rows] for x in (self.experts, self.methods, self.inner))
        return replace(self, experts=experts, methods=methods, inner=inner, entropy=entropy)


@dataclass(frozen=True)
class Setting:
    """What a row of the study simulates."""

    noise: str = "normal"
    metric: str = "r2"
    donors: int = 7
    losers: int = 0
    difference: float = 0.0


def settings() -> Iterator[Setting]:
    """Yield the settings of drawn scores."""
    for noise in NOISES:
        for difference in (0, 0.01, 0.02, 0.03, 0.05):
            for metric in ("r2", "bits"):
                yield Setting(noise, metric, difference=difference)
        for difference in (0, 0.02):
            for losers in (5, 9):
                yield Setting(noise, losers=losers, difference=difference)
            for donors in (5, 8):
                yield Setting(noise, donors=donors, difference=difference)
    for noise in ("normal", "left 2"):
        for donors in (12, 16):
            for difference in (0, 0.02):
                yield Setting(noise, donors=donors, difference=difference)


def drawn(setting: Setting, datasets: int) -> Scores:
    """Draw donors' scores."""
    rng = stream(0, "null study", *map(str, vars(setting).values()))
    donors = setting.donors
    spread = np.ones((datasets, donors, 1))
    if setting.noise == "unequal":
        spread = np.exp(0.8 * rng.standard_normal((datasets, donors, 1)))
        spread /= np.sqrt((spread**2).mean(axis=1, keepdims=True))
    shift = BEST + SPREAD * rng.standard_normal((datasets, donors, 1))
    experts = shift + EXPERT * rng.standard_normal((datasets, donors, 2))
    experts[..., 0] -= setting.difference
    common = _noise(setting.noise, rng, (datasets, donors, 1))
    separate = _noise(setting.noise, rng, (datasets, donors, len(METHODS)))
    unlike = np.exp(UNLIKE * rng.standard_normal((datasets, 1, len(METHODS))))
    unlike /= np.sqrt((unlike**2).mean(axis=2, keepdims=True))
    gain = GAIN * unlike * spread * (np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * separate)
    gain[..., len(METHODS) - setting.losers :] -= BEST * rng.uniform(
        *LOSSES, (datasets, 1, setting.losers)
    )
    inner = [BEST - setting.difference, BEST] + INNER * rng.standard_normal((datasets, 2))
    entropy = None
    if setting.metric == "bits":
        entropy = ENTROPY * np.exp(ENTROPY_SPREAD * rng.standard_normal((datasets, donors)))
        experts, shift, gain = (each * entropy[..., None] for each in (experts, shift, gain))
    return Scores(experts, shift + gain, np.asarray(inner), entropy, cross_validated=False)


def _noise(
    kind: str, rng: np.random.Generator, shape: tuple[int, ...]
) -> Float64[np.ndarray, "..."]:
    """Draw values with mean 0 and variance 1."""
    if kind == "heavy":
        wide = np.where(rng.random(shape) < 0.1, 3.0, 1.0)  # noqa: PLR2004 - one in ten
        return np.asarray(rng.standard_normal(shape) * wide / np.sqrt(1.8))
    if kind in ("left 1", "left 2"):
        form = 4.0 if kind == "left 1" else 1.0
        return np.asarray((form - rng.gamma(form, size=shape)) / np.sqrt(form))
    if kind == "left lognormal":
        scale = 0.64
        wide = np.sqrt((np.exp(scale) - 1) * np.exp(scale))
        return np.asarray((np.exp(scale / 2) - np.exp(0.8 * rng.standard_normal(shape))) / wide)
    return rng.standard_normal(shape)


def planted(scores: Scores, sis: float) -> Scores:
    """Return scores in which the first method has a gain."""
    scale = 1.0 if scores.entropy is None else scores.entropy
    methods = scores.methods.copy()
    methods[..., 0] += BEST * sis * scale
    return replace(scores, methods=methods)


def corrected_p(scores: Scores) -> Float64[np.ndarray, "datasets methods"]:
    """Return corrected p values of gains over both experts, as `sis_table` does."""
    references = np.concatenate([scores.differences, scores.methods[:, None]], axis=1)
    compared = np.ones(scores.methods.shape[2], dtype=bool)
    return largest_p(references, compared, cross_validated=scores.cross_validated).corrected


def corrected_p_before(scores: Scores) -> Float64[np.ndarray, "datasets methods"]:
    """Return the corrected p values of the older rule."""
    datasets, donors, _ = scores.methods.shape
    gain = scores.differences[np.arange(datasets), scores.inner.argmax(axis=1)]
    flipped = np.arange(2**donors)[:, None] >> np.arange(donors) & 1
    if donors > EXACT_DONORS:
        flipped = stream(0, "flips before").integers(2, size=(2**EXACT_DONORS, donors))
        flipped[0] = 0
    scaled = np.swapaxes(gain / np.sqrt((gain**2).mean(axis=1, keepdims=True)), 1, 2)
    null = scaled @ (1.0 - 2.0 * flipped).T / donors
    factor = inflation(donors, cross_validated=scores.cross_validated)
    first = null[..., :1]
    observed = first / np.sqrt(first**2 + factor * (1 - first**2)) - 1e-12
    return np.asarray((null.max(axis=1, keepdims=True) >= observed).mean(axis=2))


def detected(scores: Scores, methods: slice) -> tuple[Bool[np.ndarray, " datasets"], ...]:
    """Return the data sets with a corrected p of at most .05 for some of the methods, by rule."""
    donors = scores.methods.shape[1]
    flips = 2 ** min(donors, EXACT_DONORS)
    chunk = max(1, int(ELEMENTS / (3 * flips * scores.methods.shape[2])))
    starts = range(0, len(scores.methods), chunk)
    parts = [scores.part(slice(start, start + chunk)) for start in starts]
    return tuple(
        np.concatenate([(rule(part)[:, methods] <= LEVEL).any(axis=1) for part in parts])
        for rule in (corrected_p, corrected_p_before)
    )


def intervals(
    scores: Scores, methods: slice, true_sis: Float64[np.ndarray, " 2"]
) -> dict[str, float]:
    """Return coverage and bias of methods whose true gain is 0.

    `true_sis` is the true ratio of such a method over either expert.
    """
    best, datasets = scores.inner.argmax(axis=1), np.arange(len(scores.inner))
    differences = scores.differences[..., methods]
    gain = smaller_gain(differences, scores.entropy, cross_validated=scores.cross_validated)
    ratio = ratio_interval(
        differences[datasets, best],
        scores.experts[datasets, :, best],
        cross_validated=scores.cross_validated,
    )
    truth = true_sis[best][:, None]
    return {
        "covers_gain": float(((gain.interval.low <= 0) & (gain.interval.high >= 0)).mean()),
        "covers_sis": float(((ratio.low <= truth) & (ratio.high >= truth)).mean()),
        "bias": float(gain.value.mean()),
    }


def row(scores: Scores, losers: int, true_sis: Float64[np.ndarray, " 2"]) -> dict[str, float]:
    """Return coverage, bias and family-wise errors."""
    zeros = slice(0, scores.methods.shape[2] - losers)
    now, before = detected(scores, zeros)
    errors = {"family_wise": float(now.mean()), "family_wise_before": float(before.mean())}
    return intervals(scores, zeros, true_sis) | errors


def drawn_row(setting: Setting, datasets: int) -> dict[str, Any]:
    """Return the results of one setting of drawn scores."""
    scores = drawn(setting, datasets)
    true_sis = np.array([setting.difference / (BEST - setting.difference), 0.0])
    columns: dict[str, Any] = {**vars(setting), "datasets": datasets}
    columns |= row(scores, setting.losers, true_sis)
    for sis in PLANTED:
        now, before = detected(planted(scores, sis), slice(0, 1))
        columns |= {f"power_{sis}": now.mean(), f"power_{sis}_before": before.mean()}
    return columns


def fitted_rows(arm: str, metric: str, datasets: int) -> Iterator[dict[str, Any]]:
    """Yield the results of fitted probes: both experts as good, and one worse."""
    value, inner = null_fits.fitted(arm, metric, datasets)
    experts, methods = value[..., :3], value[..., 3:]
    zeros = null_fits.ZEROS
    entropy = np.full(value.shape[:2], np.log2(null_fits.CLASSES)) if metric == "bits" else None
    means = experts.mean(axis=(0, 1))
    for other in (0, 1):
        both = [other, 2]
        scores = Scores(
            experts[..., both],
            methods[..., :zeros],
            inner[:, both],
            entropy,
            cross_validated=arm != "holdout",
        )
        columns: dict[str, Any] = {"noise": arm, "metric": metric, "donors": null_fits.DONORS}
        columns |= {"losers": 0, "difference": means[2] - means[other], "datasets": datasets}
        true_sis = np.array([(means[2] - means[other]) / means[other], 0.0])
        columns |= row(scores, 0, true_sis)
        for number, sis in enumerate(PLANTED):
            better = methods[..., zeros + number : zeros + number + 1]
            among = np.concatenate([better, methods[..., 1:zeros]], axis=2)
            now, before = detected(replace(scores, methods=among), slice(0, 1))
            columns |= {f"power_{sis}": now.mean(), f"power_{sis}_before": before.mean()}
        yield columns


def main(args: Args) -> None:
    """Simulate, print, write."""
    use_threads(1)
    rows = [drawn_row(setting, args.datasets) for setting in settings()]
    for arm in null_fits.ARMS:
        for metric in ("r2", "bits"):
            rows += fitted_rows(arm, metric, args.fitted)
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.3f"))
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.4f")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
