"""Inference over donors: intervals, sign-flip p values, correction for the best of several methods.

The donor is the unit: cells of one donor are not independent draws, and resampling them covers
82 %. Everything is conditional on the trained models and probes: it says what other donors would
show, not what other training data would. `benchmarks/null_study.py` measures coverage and errors.

Where donors are held out in turn, each also trains the probes that score the others, and their
scores are less independent than they look. No estimate of that is unbiased (Bengio & Grandvalet
2004); it is taken from the case that can be solved: the mean of n squared deviations, each from the
mean of the others, has (n - 1) / (n - 2) times the variance that the n values show.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.stats import t

from cell_synergy.core.random import stream

CONFIDENCE = 0.95
LEAST_DONORS = 5
EXACT_DONORS = 12  # all 2^12 sign flips; of more donors as many random ones

_ROUNDING = 1e-12
_UNCLEAR = "the best unimodal mean is not clearly above 0"


@dataclass(frozen=True)
class Interval:
    """Limits at `CONFIDENCE`, one pair per method; NaN where there is no interval."""

    low: Float64[np.ndarray, " methods"]
    high: Float64[np.ndarray, " methods"]

    def widened(self, factor: float) -> "Interval":
        """Return intervals with the same centres, `factor` times as wide."""
        centre, half = (self.low + self.high) / 2, factor * (self.high - self.low) / 2
        return Interval(centre - half, centre + half)


@dataclass(frozen=True)
class PValues:
    """One-sided p values of a mean gain above zero.

    Attributes
    ----------
    single
        Of each method by itself.
    corrected
        For the methods compared, family-wise; NaN for a method that is not among them.
    """

    single: Float64[np.ndarray, " methods"]
    corrected: Float64[np.ndarray, " methods"]


@dataclass(frozen=True)
class Inference:
    """What can be said of each method.

    Attributes
    ----------
    gain, ratio
        95 % intervals of the mean gain and of its ratio to the mean best score.
    p
        For a mean gain above zero.
    notes
        Why something is missing; "" where nothing is.
    """

    gain: Interval
    ratio: Interval
    p: PValues
    notes: tuple[str, ...]


def infer(
    gain: Float[np.ndarray, "donors methods"],
    best: Float[np.ndarray, " donors"],
    compared: Bool[np.ndarray, " methods"],
    in_turn: bool,
) -> Inference:
    """Return intervals and p values of gains over the better single modality.

    Parameters
    ----------
    gain
        Score minus best unimodal score, of each donor.
    best
        Best unimodal score of each donor.
    compared
        Methods among which a best one is looked for; the correction is over these. Controls are
        not among them.
    in_turn
        Whether donors were held out in turn, and not scored by one model that saw none of them.

    Returns
    -------
    :
        Under `LEAST_DONORS` donors everything is NaN, and the notes say "not testable". The ratio
        has no interval where that of the mean best score reaches 0: the ratio could then be
        anything (Fieller 1954). What is the same for every donor has no interval either.
    """
    donors, methods = gain.shape
    if donors < LEAST_DONORS:
        nothing = np.full(methods, np.nan)
        interval = Interval(nothing, nothing)
        note = f"not testable: {donors} donor{'s' * (donors > 1)}, {LEAST_DONORS} needed"
        if donors == 1:
            note += " (sections of one donor are no sample of donors)"
        return Inference(interval, interval, PValues(nothing, nothing), (note,) * methods)
    more = inflation(donors, in_turn=in_turn)
    absolute = paired_t(gain).widened(np.sqrt(more))
    relative = ratio_t(gain, best).widened(np.sqrt(more))
    missing = "it is the same without any donor" if _positive(best) else _UNCLEAR
    notes = []
    for low, relative_low in zip(absolute.low, relative.low, strict=True):
        reasons = []
        if np.isnan(low):
            reasons.append("no interval of the gain: it is the same for every donor")
        if np.isnan(relative_low) and best.mean() > 0:
            reasons.append(f"no interval of sis: {missing}")
        notes.append("; ".join(reasons))
    return Inference(absolute, relative, sign_flip(gain, compared, more), tuple(notes))


def inflation(donors: int, *, in_turn: bool) -> float:
    """Return how many times larger the variance of a mean over donors is than they show."""
    return (donors - 1) / (donors - 2) if in_turn else 1.0


def paired_t(gain: Float[np.ndarray, "donors methods"]) -> Interval:
    """Return the paired t interval of each mean gain; NaN where donors do not differ."""
    donors = len(gain)
    error = gain.std(axis=0, ddof=1) / np.sqrt(donors)
    error = np.where(error > _ROUNDING * abs(gain).max(axis=0), error, np.nan)
    return _around(gain.mean(axis=0), error, donors)


def ratio_t(
    gain: Float[np.ndarray, "donors methods"], best: Float[np.ndarray, " donors"]
) -> Interval:
    """Return the donor-jackknife t interval of each `mean(gain) / mean(best)`.

    NaN where no donor changes the ratio, and for all methods where the t interval of `mean(best)`
    reaches 0.
    """
    if not _positive(best):
        nothing = np.full(gain.shape[1], np.nan)
        return Interval(nothing, nothing)
    without = (gain.sum(axis=0) - gain) / (best.sum() - best)[:, None]
    return jackknife_t(gain.mean(axis=0) / best.mean(), without)


def jackknife_t(
    value: Float[np.ndarray, " methods"], without: Float[np.ndarray, "donors methods"]
) -> Interval:
    """Return the jackknife t interval of statistics over donors (Efron & Tibshirani 1993, ch. 11).

    Parameters
    ----------
    value
        Each statistic over all donors.
    without
        The same with one donor left out, a row for each donor.

    Returns
    -------
    :
        `value` plus and minus t with donors - 1 degrees of freedom times the jackknife's standard
        error; NaN where leaving donors out changes nothing.
    """
    donors = len(without)
    error = np.sqrt(donors - 1) * without.std(axis=0)
    error = np.where(error > _ROUNDING * abs(without).max(axis=0), error, np.nan)
    return _around(value, error, donors)


def sign_flip(
    gain: Float[np.ndarray, "donors methods"],
    compared: Bool[np.ndarray, " methods"],
    inflation: float,
) -> PValues:
    """Return p values from flipping the signs of donors, the same for all methods.

    A donor's gains are as likely to be all reversed if the mean gains are zero and symmetric. The
    statistic is the mean over its root mean square, which flips do not change: a monotone function
    of t. The corrected p is the share of flips in which the largest statistic of the methods
    compared reaches a method's own (max-T; Westfall & Young 1993). No p is below 2^-donors.

    Parameters
    ----------
    gain, compared
        As in `infer`.
    inflation
        How many times larger the variance of a mean is than the donors show; divides t squared.
    """
    square = (gain**2).mean(axis=0)
    scaled = np.divide(gain, np.sqrt(square), out=np.zeros_like(gain), where=square > 0)
    null = _signs(len(gain)) @ scaled / len(gain)
    own = null[0] / np.sqrt(null[0] ** 2 + inflation * (1 - null[0] ** 2)) - _ROUNDING
    single = (null >= own).mean(axis=0)
    corrected = np.full(len(single), np.nan)
    if compared.any():
        largest = null[:, compared].max(axis=1)
        corrected[compared] = (largest[:, None] >= own[compared]).mean(axis=0)
    return PValues(single, corrected)


def _positive(best: Float[np.ndarray, " donors"]) -> bool:
    """Return whether the mean is above 0, and its t interval with it if donors differ."""
    return bool(best.mean() > 0 and not paired_t(best[:, None]).low[0] <= 0)


def _signs(donors: int) -> Float64[np.ndarray, "flips donors"]:
    """Return sign flips, the first of which changes nothing."""
    if donors <= EXACT_DONORS:
        flipped = np.arange(2**donors)[:, None] >> np.arange(donors) & 1
    else:
        flipped = stream(0, "sign flips").integers(2, size=(2**EXACT_DONORS, donors))
        flipped[0] = 0
    return 1.0 - 2.0 * flipped


def _around(
    centre: Float[np.ndarray, " methods"], error: Float[np.ndarray, " methods"], donors: int
) -> Interval:
    half = t.ppf((1 + CONFIDENCE) / 2, donors - 1) * error
    return Interval(centre - half, centre + half)
