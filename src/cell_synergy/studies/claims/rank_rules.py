"""Rules for claims that one method is the best of all: by gain, and by sample efficiency."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float64

from cell_synergy.core.names import MIN_DONORS
from cell_synergy.scoring.families import BEYOND, PAPER, family
from cell_synergy.scoring.inference import donor_interval, inflation, sign_flip
from cell_synergy.scoring.reference import require_complete
from cell_synergy.scoring.tables import SIGNIFICANCE, is_verdict
from cell_synergy.studies.claims.evidence import (
    NOT_SUPPORTED,
    SUPPORTED,
    ClaimsConfig,
    Finding,
    Tables,
    no_method,
    too_few,
)
from cell_synergy.studies.claims.outcomes import (
    FOUND,
    LEAD,
    MISSED,
    NOT_FOUND,
    NOT_TESTED,
    Outcome,
    counts,
    in_words,
    interval_limit,
)
from cell_synergy.studies.scaling import DRAWN_LABELS, EXPERT, TUNED

BESIDE = "; beyond the paper "  # before the best of these methods, in the evidence
_ALL_TASKS = "mean of all tasks"


@dataclass(frozen=True)
class _Lead:
    """Lead of one method over all others, by donor.

    Attributes
    ----------
    runner_up
        The other method with the highest mean.
    value, low, high
        Mean lead over it, and its 95 % interval.
    limit
        Smallest lead over it whose interval would be above 0 with the power of detection limits.
    first
        Whether the interval of every lead is above 0. All of them must be, so that none needs a
        correction for the number of others: of all tests the least favourable decides (an
        intersection-union test has the level of one test).
    above, below
        Number of others whose interval is below the method, and of those that are significantly
        better than it (sign-flip test, p corrected for the number of others, since one is enough).
    place, others
        Place of the method by its mean, and number of the other methods.
    """

    runner_up: str
    value: float
    low: float
    high: float
    limit: float
    first: bool
    above: int
    below: int
    place: int
    others: int

    @classmethod
    def of(cls, donors: pd.DataFrame, method: str, cross_validated: bool, power: float) -> "_Lead":
        """Compare a column of scores by donor (rows) and method (columns) with all others."""
        means = donors.mean().sort_values(ascending=False, kind="stable")
        others = means.index.drop(method)
        lead: Float64[np.ndarray, "donors others"]
        lead = donors[[method]].to_numpy() - donors[others].to_numpy()
        interval = donor_interval(lead, cross_validated=cross_validated)
        factor = inflation(len(donors), cross_validated=cross_validated)
        worse = sign_flip(-lead, np.ones(len(others), dtype=bool), factor).corrected
        low, high = float(interval.low[0]), float(interval.high[0])
        return cls(
            str(others[0]), float(lead[:, 0].mean()), low, high,
            interval_limit(low, high, len(donors), power), bool((interval.low > 0).all()),
            int((interval.low > 0).sum()), int((worse < SIGNIFICANCE).sum()),
            list(means.index).index(method) + 1, len(others),
        )  # fmt: skip

    def at_least(self, limit: float) -> "_Lead":
        """Return the lead with at least this limit, unless it is the first.

        Scores of probes that read nothing hardly vary, which does not say how much a lead would.
        """
        return self if self.first else replace(self, limit=float(np.fmax(self.limit, limit)))

    def evidence(self) -> str:
        """Return place and lead in words."""
        return (
            f"place {self.place} of {self.others + 1}; {self.value:+.3f} ({self.low:+.3f} to "
            f"{self.high:+.3f}) to {self.runner_up}, limit {self.limit:.3f}; above {self.above} and"
            f" below {self.below} of {self.others} others"
        )

    def outcome(self, task: str, method: str, metric: str, judged: str, truth: float) -> Outcome:
        """Return the outcome of a task with these values."""
        return Outcome(
            task=task, quantity=LEAD, method=method, metric=metric, outcome=judged,
            value=self.value, low=self.low, high=self.high, p_corrected=float("nan"), truth=truth,
            limit=self.limit, evidence=self.evidence(),
        )  # fmt: skip


def highest_on_niches(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: the synergy-aware method gains most of the paper's methods on niches.

    On a niche task it is highest (found) if it gains over both experts (corrected p below 0.05) and
    the 95 % interval of its lead over each other method is above 0. The claim is supported if it is
    highest on a niche task; not if on another one that has a gain to be found it is not, and either
    a method is significantly better there, or its lead would have been found from a size of
    `claims.relevant` on. Where it is not first, the limit of its lead is at least the median limit
    of all tasks. A task without true gain and an XOR of independent states
    (`claims.negative_controls`) test nothing. Scores are of linear probes, in bits as a share of
    the label entropy or R2; their differences equal those of gains. The best method beyond the
    paper is named beside them, and does not decide.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.

    Raises
    ------
    DataError
        If a method lacks a score of a task and donor that others have.
    """
    method = claims.synergy_aware
    scores = tables.fusion_scores()
    finding = _untestable(tables, scores, method)
    if finding is not None:
        return finding
    gains = tables.gains(claims.niches)
    gains = gains[gains["method"] == method].set_index("task")
    crossed, tasks = tables.cross_validated(), scores.index.unique("task")
    ten = scores[_of_family(scores, PAPER)]
    leads = {task: _Lead.of(ten.loc[task], method, crossed, tables.power) for task in tasks}
    typical = float(pd.Series([lead.limit for lead in leads.values()]).median())
    outcomes, against = [], False
    for task in gains.index:
        lead = leads[task].at_least(typical)
        star = bool(gains.loc[task, "p_corrected"] < SIGNIFICANCE)
        truth = tables.true(task, "gain")
        outcome = tables.expected(task, truth, claims).outcome(star and lead.first, 0.0)
        if outcome == MISSED:  # the truth does not say which method is highest
            outcome = NOT_FOUND
        against |= outcome == NOT_FOUND and _decides(lead, claims)
        metric = str(gains.loc[task, "metric"])
        judged = lead.outcome(str(task), method, metric, outcome, truth)
        beside = _beside(scores.loc[task], method, crossed=crossed)
        outcomes.append(replace(judged, evidence=judged.evidence + beside))
    if not outcomes:
        return Finding(NOT_TESTED, "the data set has no niche task")
    verdict = SUPPORTED if any(o.outcome == FOUND for o in outcomes) else NOT_TESTED
    verdict = NOT_SUPPORTED if against else verdict
    return Finding(verdict, _evidence(outcomes), tuple(outcomes))


def highest(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: the synergy-aware method has the highest mean gain over all tasks.

    It is highest if the 95 % interval of its lead over each other method of the paper is above 0;
    all intervals must be, so that none needs a correction. The claim is not supported if another
    method is significantly better (corrected), or a lead would have been found from a size of
    `claims.relevant` on; else it is not tested. Scores as in `highest_on_niches`; controls, single
    experts and the donor task are left out, and the best method beyond the paper is named.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.

    Raises
    ------
    DataError
        If a method lacks a score of a task and donor that others have.
    """
    method = claims.synergy_aware
    scores = tables.fusion_scores()
    finding = _untestable(tables, scores, method)
    if finding is not None:
        return finding
    donors = scores.groupby("donor").mean()
    crossed = tables.cross_validated()
    lead = _Lead.of(donors[_of_family(donors, PAPER)], method, crossed, tables.power)
    outcome = lead.outcome(
        _ALL_TASKS, method, "bits, r2", FOUND if lead.first else NOT_FOUND, float("nan")
    )
    verdict = NOT_SUPPORTED if _decides(lead, claims) else NOT_TESTED
    verdict = SUPPORTED if lead.first else verdict
    tasks = len(scores.index.unique("task"))
    beside = _beside(donors, method, crossed=crossed)
    outcome = replace(outcome, evidence=outcome.evidence + beside)
    return Finding(verdict, f"mean of {tasks} tasks: {outcome.evidence}", (outcome,))


def efficiency(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: the fine-tuned expert has the highest mean over all fractions.

    Tested only if all arms read the expression expert that is fine-tuned: otherwise the claim would
    be decided by which expert is better. Then, on every local task, the 95 % interval of its lead
    over each other arm must be above 0 (all of them must, so that none needs a correction). Other
    arms are fusion methods, both frozen experts and the null. Labels are subsampled with the pairs.
    Scores, bits as a share of the label entropy or R2, are averaged within donors over fractions of
    the pairs, draws and seeds.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    rows = tables.scaling
    if rows.empty:
        reason = "no scaling study of this data set (scaling.datasets, scaling.tasks)"
        return Finding(NOT_TESTED, reason)
    experts = sorted(rows[EXPERT].unique())
    if len(experts) > 1:
        return Finding(NOT_TESTED, f"arms read different experts: {', '.join(experts)}")
    rows = rows[(rows["labels"] == DRAWN_LABELS) & (rows["note"] == "")]
    rows = rows[is_verdict(rows) & rows["task"].isin(claims.local)]
    keys = ["task", "fraction", "donor"]
    table = rows.pivot_table(index=keys, columns="method", values="value").dropna()
    if TUNED not in table or table.empty:
        return Finding(NOT_TESTED, "too few pairs, or no local task, for the fine-tuned expert")
    if len(table.index.unique("donor")) < MIN_DONORS:
        return too_few(tables)
    outcomes, against, crossed = [], False, len(rows["fold"].unique()) > 1
    for task, of_task in table.groupby("task"):
        metric = rows.loc[rows["task"] == task, "metric"].iloc[0]
        unit = tables.entropy(str(task)) if metric == "bits" else 1.0
        donors = of_task.groupby("donor").mean() / unit
        lead = _Lead.of(donors, TUNED, crossed, tables.power)
        outcome = FOUND if lead.first else NOT_FOUND
        against |= outcome == NOT_FOUND and _decides(lead, claims)
        outcomes.append(lead.outcome(str(task), TUNED, metric, outcome, float("nan")))
    verdict = SUPPORTED if all(o.outcome == FOUND for o in outcomes) else NOT_TESTED
    verdict = NOT_SUPPORTED if against else verdict
    fractions = sorted(table.index.unique("fraction"))
    evidence = (
        f"all arms read {experts[0]}, mean over {fractions[0]:g} to {fractions[-1]:g} % of the "
        f"pairs: {_evidence(outcomes)}"
    )
    return Finding(verdict, evidence, tuple(outcomes))


def _untestable(tables: Tables, scores: pd.DataFrame, method: str) -> Finding | None:
    """Return the reason why methods cannot be ranked, or None if they can."""
    if method not in tables.methods:
        return no_method([method])
    if len(_of_family(scores, PAPER)) < 2:  # noqa: PLR2004 - itself and another
        return Finding(NOT_TESTED, "no task, or no other fusion method, to compare by")
    require_complete(scores.isna())
    if len(scores.index.unique("donor")) < MIN_DONORS:
        return too_few(tables)
    return None


def _of_family(scores: pd.DataFrame, group: str) -> list[str]:
    """Return the methods (columns) of one family."""
    return [str(name) for name in scores.columns if family(str(name)) == group]


def _beside(scores: pd.DataFrame, method: str, *, crossed: bool) -> str:
    """Return in words how the best method beyond the paper compares; "" if there is none."""
    others = _of_family(scores, BEYOND)
    if not others:
        return ""
    best = scores[others].mean().idxmax()
    difference = (scores[best] - scores[method]).to_numpy()[:, None]
    interval = donor_interval(difference, cross_validated=crossed)
    return (
        f"{BESIDE}{best}, {difference.mean():+.3f} ({interval.low[0]:+.3f} to "
        f"{interval.high[0]:+.3f}) to {method}"
    )


def _decides(lead: _Lead, claims: ClaimsConfig) -> bool:
    """Return whether a lead that was not found counts against the claim."""
    return lead.below > 0 or lead.limit <= claims.relevant


def _evidence(outcomes: list[Outcome]) -> str:
    return f"{counts(outcomes)}; {in_words(outcomes)}"
