"""Outcomes of tasks: what a test found, judged by the truth and by what it could have found."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from cell_synergy.scoring.inference import CONFIDENCE
from cell_synergy.scoring.tables import SIGNIFICANCE
from cell_synergy.studies.limits import GAIN

FOUND, NOT_FOUND, MISSED = "found", "not found", "missed"
RIGHTLY_NOT_FOUND, FALSE_ALARM, NOT_TESTED = "rightly not found", "false alarm", "not tested"
OUTCOMES = FOUND, MISSED, RIGHTLY_NOT_FOUND, FALSE_ALARM, NOT_FOUND, NOT_TESTED
CERTIFIED, LEAD = "certified synergy", "lead"


@dataclass(frozen=True)
class Outcome:
    """What was found on one task.

    Attributes
    ----------
    task
        Name of the task.
    quantity
        `GAIN`, over each of the experts; `OVER_CEILING`, gain over the ceiling; `CERTIFIED`,
        certified synergy in bits; or `LEAD`, the smallest lead of one method over all others.
    method, metric
        The method that `value` is of, and its metric.
    outcome
        One of `OUTCOMES`.
    value, low, high
        The quantity, and its 95 % interval over donors: a share of the label entropy for the metric
        bits, R2 for r2.
    p_corrected
        One-sided p value, corrected for the methods compared; NaN for quantities without a test.
    truth
        True value that the best reader of both embeddings would have, in the same unit; NaN if none
        is known.
    limit
        Detection limit of the study, in the same unit; NaN for quantities without one.
    evidence
        The same in words.
    """

    task: str
    quantity: str
    method: str
    metric: str
    outcome: str
    value: float
    low: float
    high: float
    p_corrected: float
    truth: float
    limit: float
    evidence: str


@dataclass(frozen=True)
class Expected:
    """What is known about a gain before it is tested.

    Attributes
    ----------
    truth
        True gain that the best reader would have; NaN if none is known.
    visible
        False if the paper's methods cannot show it in theory, as an XOR.
    zero
        True gain below which there is nothing to be found.
    """

    truth: float
    visible: bool
    zero: float

    @property
    def known(self) -> bool:
        """Whether the truth is known."""
        return not np.isnan(self.truth)

    def outcome(self, found: bool, limit: float) -> str:
        """Return the outcome of a test.

        Without truth: `FOUND` or `NOT_FOUND`. If the true gain is below `zero`: `FALSE_ALARM` or
        `RIGHTLY_NOT_FOUND`. Otherwise `FOUND`; and if it is not found, `RIGHTLY_NOT_FOUND` if no
        method can show it, `MISSED` if the study could have found it, and else `NOT_TESTED`.

        Parameters
        ----------
        found
            Whether the test is significant.
        limit
            Detection limit; NaN if there is none.
        """
        if not self.known:
            return FOUND if found else NOT_FOUND
        if self.truth < self.zero:
            return FALSE_ALARM if found else RIGHTLY_NOT_FOUND
        if found:
            return FOUND
        if not self.visible:
            return RIGHTLY_NOT_FOUND
        return MISSED if self.truth >= limit else NOT_TESTED


def gain_outcome(
    rows: pd.DataFrame,
    methods: Iterable[str],
    expected: Expected,
    *,
    quantity: str,
) -> Outcome:
    """Return the outcome of one task: whether any of some methods has a significant gain.

    All values are of one method: that with the smallest corrected p value, and among equal ones
    that with the largest gain.

    Parameters
    ----------
    rows
        One row per method of a family, within which p values are corrected, with the columns `task,
        metric, method, gain, gain_low, gain_high, p_corrected, limit`, and `alone_low` of gains
        over the experts.
    methods
        Methods that the claim is about.
    expected
        What is known about the gain.
    quantity
        What the gains are over: `GAIN` or `OVER_CEILING`.
    """
    eligible = rows[rows["method"].isin(list(methods))]
    row = eligible.sort_values(
        ["p_corrected", "gain"], ascending=[True, False], kind="stable"
    ).iloc[0]
    stars, limit = int((eligible["p_corrected"] < SIGNIFICANCE).sum()), float(row["limit"])
    tested = not np.isnan(row["p_corrected"])
    outcome = expected.outcome(stars > 0, limit) if tested else NOT_TESTED
    count = (
        f"{stars} of {len(eligible)} methods, best {row['method']} " if len(eligible) > 1 else ""
    )
    by_itself = " by itself" if len(eligible) > 1 else ""
    evidence = (
        f"{count}{row['gain']:+.3f} ({row['gain_low']:+.3f} to {row['gain_high']:+.3f}{by_itself})"
        f", corrected p {row['p_corrected']:.3f}; {_truth_in_words(expected)}, limit {limit:.3f}"
    )
    if stars and quantity == GAIN:
        evidence += f"; {_cross_modal(row['alone_low'])}"
    return Outcome(
        task=str(row["task"]), quantity=quantity, method=str(row["method"]),
        metric=str(row["metric"]), outcome=outcome, value=float(row["gain"]),
        low=float(row["gain_low"]), high=float(row["gain_high"]),
        p_corrected=float(row["p_corrected"]), truth=expected.truth, limit=limit,
        evidence=evidence,
    )  # fmt: skip


def certified_outcome(row: "pd.Series[Any]", expected: Expected) -> Outcome:
    """Return the outcome of certified synergy: found if its lower limit is above 0.

    If it is not found, the true synergy is missed if it is above the upper limit.

    Parameters
    ----------
    row
        Row of a method's certified synergy in the information table.
    expected
        What is known about the synergy of the two embeddings, in bits.
    """
    bits, low, high = (float(row[name]) + 0.0 for name in ("bits", "low", "high"))  # no -0
    outcome = NOT_TESTED
    if not np.isnan(low):
        outcome = expected.outcome(low > 0, float(np.nextafter(high, np.inf)))
    truth = f"true S {expected.truth:.3f}" if expected.known else "no truth known"
    return Outcome(
        task=str(row["task"]), quantity=CERTIFIED, method=str(row["method"]), metric="bits",
        outcome=outcome, value=bits, low=low, high=high, p_corrected=float("nan"),
        truth=expected.truth, limit=float("nan"),
        evidence=f"certified {bits:.3f} bits ({low:.3f} to {high:.3f}); {truth}",
    )  # fmt: skip


def interval_limit(low: float, high: float, donors: int, power: float) -> float:
    """Return the mean whose 95 % t interval is above 0 with a given power, from one such interval.

    Parameters
    ----------
    low, high
        Limits of an interval over donors.
    donors
        Number of donors.
    power
        Probability with which an interval around a mean of this size is above 0.
    """
    quantile = stdtrit(donors - 1, (1 + CONFIDENCE) / 2)
    return float((high - low) / 2 * (1 + stdtrit(donors - 1, power) / quantile))


def in_words(outcomes: Iterable[Outcome]) -> str:
    """Return the outcomes of tasks and their evidence."""
    details = (f"{o.task.replace('_', ' ')}: {o.outcome}: {o.evidence}" for o in outcomes)
    return "; ".join(details)


def counts(outcomes: Iterable[Outcome]) -> str:
    """Return how many tasks have each outcome, in words: "1 found, 2 missed"."""
    listed = [each.outcome for each in outcomes]
    return ", ".join(f"{listed.count(name)} {name}" for name in OUTCOMES if name in listed)


def _truth_in_words(expected: Expected) -> str:
    if not expected.known:
        return "no truth known"
    unseen = ""
    if expected.truth >= expected.zero and not expected.visible:
        unseen = " of an XOR that none of the paper's methods makes linear"
    return f"true gain {expected.truth:.3f}{unseen}"


def _cross_modal(alone_low: float) -> str:
    if np.isnan(alone_low):
        return "not said to be cross-modal: no control of one expert alone"
    if alone_low > 0:
        return "cross-modal: above one expert paired with itself"
    return "not said to be cross-modal: not above one expert paired with itself"
