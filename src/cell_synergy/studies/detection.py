"""Detection limits: the smallest gain that a study of some donors finds with a given power.

The limit is that of the test in use, `cell_synergy.scoring.inference.sign_flip` (sign flips over
donors, corrected for the best of several methods by max-T), not of a t test with Bonferroni's
correction. It is a multiple of the standard deviation of the gains over donors; the factor depends
on the number of donors and of methods, and is found by simulation with fixed random numbers.

The smallest p value of D donors is 2^-D. With fewer than five donors nothing can be found.
"""

from functools import cache

import numpy as np
from jaxtyping import Bool, Float64

from cell_synergy.core.errors import ConfigError
from cell_synergy.core.names import MIN_DONORS
from cell_synergy.core.random import stream
from cell_synergy.scoring.inference import EXACT_DONORS, sign_flip

_DATASETS = 2000  # simulated for each factor, whose standard error is about 1 %
_TESTS = 2**21  # flips times data sets; with more than 10 donors it allows fewer data sets
_PRECISION = 0.005  # of the factor, relative
_BATCH = 5  # data sets tested at once; for the cache of the processor
_STEP = 0.1  # of the gains at which power is simulated, in standard errors
_CERTAIN = 12.0  # gain in standard errors from which on it is always found


def detection_limit(
    sd: float,
    *,
    donors: int,
    methods: int,
    references: int,
    correlation: float,
    power: float,
    level: float,
) -> float:
    """Return the smallest mean gain that the test finds with a given power.

    A gain is found if its one-sided p value, corrected for the methods compared, is at most `level`
    against every reference. One method has a gain over all references, the others have none. Gains
    are normal over donors, with one standard deviation for all. References are equally good, the
    hardest case: where one expert is clearly worse, the limit is that of one reference.

    To plan a study, choose the smallest number of donors whose limit is below the gain that matters
    (`study_sd` says how the standard deviation depends on the observations of each donor)::

        sd = study_sd(between=0.03, within=0.4, observations=200)
        detection_limit(
            sd, donors=8, methods=10, references=2, correlation=0.5, power=0.8, level=0.05
        )

    Parameters
    ----------
    sd
        Standard deviation over donors of the gain of a method over a reference, in the unit of the
        result: a share of the entropy of the labels, or R2. If donors are held out in turn,
        multiply it by the square root of `cell_synergy.scoring.inference.inflation`.
    donors
        Number of test donors.
    methods
        Number of methods compared, over which p values are corrected.
    references
        Number of references that a gain must exceed: 2 for both experts, 1 for one fixed score.
    correlation
        Correlation between the gains of two methods over one reference, from 0 to 1. Shared parts
        of gains over different references are independent.
    power
        Probability, between 0 and 1, with which a gain of the size of the limit is found.
    level
        Family-wise error rate of the test, between 0 and 1.

    Returns
    -------
    :
        The limit, in the unit of `sd`; infinite with fewer than `MIN_DONORS` donors, or if the
        smallest p value is above `level`.

    Raises
    ------
    ConfigError
        If an argument is outside its range.
    """
    _check_ranges(sd, donors, methods, references, correlation, power, level)
    if donors < MIN_DONORS or 2.0**-donors > level:
        return float("inf")
    return sd * _factor(donors, methods, references, correlation, power, level)


def detection_power(
    gain: float,
    sd: float,
    *,
    donors: int,
    methods: int,
    references: int,
    correlation: float,
    level: float,
) -> float:
    """Return the probability with which the test finds a gain: the inverse of `detection_limit`.

    Parameters
    ----------
    gain
        True mean gain over every reference, in the unit of `sd`.
    sd, donors, methods, references, correlation, level
        As in `detection_limit`.

    Returns
    -------
    :
        The probability, interpolated between simulated gains; 0 where the limit is infinite.

    Raises
    ------
    ConfigError
        If an argument is outside its range.
    """
    _check_ranges(sd, donors, methods, references, correlation, 0.5, level)
    if donors < MIN_DONORS or 2.0**-donors > level:
        return 0.0
    error = sd / np.sqrt(donors)
    if gain >= _CERTAIN * error:
        return 1.0
    steps = max(gain, 0.0) / error / _STEP
    first = int(steps)
    low, high = (
        _power(step, donors, methods, references, correlation, level) for step in (first, first + 1)
    )
    return float(low + (steps - first) * (high - low))


def study_sd(between: float, within: float, observations: float) -> float:
    """Return the standard deviation over donors of the gains of a study, for `detection_limit`.

    A donor's gain is its expected gain, which varies between donors, plus the error of estimating
    it from the donor's observations: `sd^2 = between^2 + within^2 / observations`. More
    observations lower the second part only. Neighbouring observations are similar, so that fewer
    count as independent than there are.

    Parameters
    ----------
    between
        Standard deviation over donors of the expected gain.
    within
        Standard deviation of the gain of single observations of one donor.
    observations
        Number of independent test observations of each donor.

    Raises
    ------
    ConfigError
        If a standard deviation is negative, or there are no observations.
    """
    if between < 0 or within < 0 or observations <= 0:
        raise ConfigError(
            f"between {between}, within {within}, observations {observations}: standard deviations "
            "are at least 0, and observations above 0"
        )
    return float(np.sqrt(between**2 + within**2 / observations))


def _check_ranges(
    sd: float,
    donors: int,
    methods: int,
    references: int,
    correlation: float,
    power: float,
    level: float,
) -> None:
    """Raise an error for an argument of `detection_limit` outside its range."""
    ranges = {
        "sd": (sd, sd >= 0, "at least 0"), "donors": (donors, donors >= 1, "at least 1"),
        "methods": (methods, methods >= 1, "at least 1"),
        "references": (references, references >= 1, "at least 1"),
        "correlation": (correlation, 0 <= correlation <= 1, "from 0 to 1"),
        "power": (power, 0 < power < 1, "between 0 and 1"),
        "level": (level, 0 < level < 1, "between 0 and 1"),
    }  # fmt: skip
    for name, (value, valid, allowed) in ranges.items():
        if not valid:
            raise ConfigError(f"{name}: {value} is outside its range; give a number {allowed}")


@cache
def _factor(
    donors: int, methods: int, references: int, correlation: float, power: float, level: float
) -> float:
    """Return the detection limit in standard deviations, by bisection over simulated data sets.

    A data set in which a gain is found is taken to show every larger gain too, so that each step
    tests only the data sets that are not decided yet.
    """
    noise = _noise(donors, methods, references, correlation)
    low, high = 0.0, 8 / np.sqrt(donors)
    while _detected(noise, high, level).mean() < power:
        high *= 2
    undecided, below = np.arange(len(noise)), 0
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        detected = _detected(noise[undecided], middle, level)
        if below + detected.sum() >= power * len(noise):
            high, undecided = middle, undecided[detected]
        else:
            low, below = middle, below + int(detected.sum())
            undecided = undecided[~detected]
    return float(high)


@cache
def _power(
    steps: int, donors: int, methods: int, references: int, correlation: float, level: float
) -> float:
    """Return the share of simulated data sets in which a gain of some steps is found."""
    noise = _noise(donors, methods, references, correlation)
    return float(_detected(noise, steps * _STEP / np.sqrt(donors), level).mean())


def _noise(
    donors: int, methods: int, references: int, correlation: float
) -> Float64[np.ndarray, "datasets references donors methods"]:
    """Return gains with mean 0 and standard deviation 1; the parts of methods are equal for all."""
    rng = stream(0, "detection limit", str(donors), str(methods))
    datasets = min(_DATASETS, _TESTS >> min(donors, EXACT_DONORS))
    individual = rng.standard_normal((datasets, 1, donors, methods))
    shared = rng.standard_normal((datasets, references, donors, 1))
    noise: Float64[np.ndarray, "datasets references donors methods"]
    noise = np.sqrt(1 - correlation) * individual + np.sqrt(correlation) * shared
    return noise


def _detected(
    noise: Float64[np.ndarray, "datasets references donors methods"], gain: float, level: float
) -> Bool[np.ndarray, " datasets"]:
    """Return in which data sets the first method's gain is found against every reference."""
    methods = noise.shape[-1]
    planted = noise + gain * (np.arange(methods) == 0)
    compared = np.ones(methods, dtype=bool)
    batches = np.array_split(planted, max(len(planted) // _BATCH, 1))
    p = [sign_flip(batch, compared, 1.0).corrected[..., 0].max(axis=1) for batch in batches]
    detected: Bool[np.ndarray, " datasets"] = np.concatenate(p) <= level
    return detected
