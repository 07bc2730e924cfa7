"""Inference on every case of a score table: a data set, task, metric and probe."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64

from cell_synergy.core.names import MIN_DONORS, VERDICT_METRICS, self_paired
from cell_synergy.scoring.families import corrected_within
from cell_synergy.scoring.gains import Gain, largest_p, smaller_gain
from cell_synergy.scoring.inference import Interval, is_positive, not_testable, ratio_interval
from cell_synergy.scoring.reference import CASE, Referenced

_NO_EXPERT = "no single expert is above chance"

_BITS, _R2 = VERDICT_METRICS


def is_verdict(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return a mask of the rows in the metric that gains are tested in.

    It is R2 for a regression, which is a task that has rows of it, and bits for a classification.

    Parameters
    ----------
    table
        Table with the columns `dataset, task, metric`.
    """
    is_r2 = table["metric"] == _R2
    is_regression = is_r2.groupby([table["dataset"], table["task"]]).transform("any")
    return is_r2 | ((table["metric"] == _BITS) & ~is_regression)


def inference_table(referenced: Referenced, family: Callable[[str], str]) -> pd.DataFrame:
    """Return gains, intervals and p values, one row per case and method.

    Parameters
    ----------
    referenced
        Scores of all methods and both experts. A case with several folds is cross-validated over
        donors.
    family
        Function that returns the family of a method, within which p values are corrected.

    Returns
    -------
    :
        The columns of `CASE`, `method`, and those of `scoring.tables.sis_table` from `gain` to
        `high` but for `sis`; `limiting`, the expert over which the method gains less; `shared`,
        whether gains are shares of the mean entropy; `has_ratio`, whether the better expert is
        above chance, in this metric and in that of verdicts, which no guess can raise; and `note`.
    """
    cases = list(_cases(referenced))
    verdicts = {case.key: case for case in cases if case.tested}
    columns = [case.columns(family, verdicts.get(case.key, case)) for case in cases]
    return pd.DataFrame(
        {name: np.concatenate([each[name] for each in columns]) for name in columns[0]}
    )


def _cases(referenced: Referenced) -> Iterator["_Case"]:
    """Yield the cases, with scores that are means over folds."""
    by_donor = referenced.mean("donor")
    n_folds = referenced.scores.reset_index("fold").groupby(level=CASE)["fold"].nunique()
    keys = by_donor.scores.index.to_frame(index=False)[CASE]
    tested = is_verdict(keys).to_numpy()
    names, values = list(by_donor.scores.columns), by_donor.scores.to_numpy()
    chance, entropy = by_donor.chance.to_numpy(), by_donor.entropy.to_numpy()
    experts = [names.index(name) for name in referenced.experts]
    best, folds = referenced.best.to_dict(), n_folds.to_dict()
    for indices in keys.groupby(CASE).indices.values():
        rows = np.asarray(indices)
        key = tuple(keys.iloc[rows[0]])
        case = dict(zip(CASE, key, strict=True))
        in_bits = case["metric"] == _BITS
        scored = ~np.isnan(values[rows[0]])
        scored[experts] = False
        yield _Case(
            case=case,
            methods=[name for name, is_scored in zip(names, scored, strict=True) if is_scored],
            scores=values[rows][:, scored],
            of_experts=values[rows][:, experts],
            experts=referenced.experts,
            best=referenced.experts.index(best[key]),
            chance=chance[rows],
            entropy=entropy[rows] if tested[rows[0]] and in_bits else None,
            cross_validated=folds[key] > 1,
            tested=bool(tested[rows[0]]),
        )


@dataclass(frozen=True)
class _Case:
    """Scores of one case.

    Attributes
    ----------
    case
        Data set, task, metric and probe.
    methods, experts
        Names of the methods, and of the two experts.
    scores, of_experts, chance, entropy
        Scores of methods and experts, what chance scores, and what gains are divided by (None for
        gains as they are), for each donor.
    best
        Number of the better expert.
    cross_validated, tested
        Whether donors were held out in turn, and whether gains are tested in this metric.
    """

    case: dict[str, str]
    methods: list[str]
    scores: Float64[np.ndarray, "donors methods"]
    of_experts: Float64[np.ndarray, "donors 2"]
    experts: tuple[str, str]
    best: int
    chance: Float64[np.ndarray, " donors"]
    entropy: Float64[np.ndarray, " donors"] | None
    cross_validated: bool
    tested: bool

    @property
    def key(self) -> tuple[str, ...]:
        """Data set, task and probe."""
        return tuple(value for name, value in self.case.items() if name != "metric")

    def above_chance(self) -> Bool[np.ndarray, " 2"]:
        """Return whether each expert is above chance."""
        excess = self.of_experts - self.chance[:, None]
        return is_positive(excess.T, cross_validated=self.cross_validated)

    def columns(self, family: Callable[[str], str], verdict: "_Case") -> dict[str, Any]:
        """Return the columns of `inference_table`.

        `verdict` has the scores in the metric of verdicts, or in this one if that was not scored.
        """
        differences = self.scores - self.of_experts.T[:, :, None]
        gain = smaller_gain(differences, self.entropy, cross_validated=self.cross_validated)
        nothing = np.full(len(self.methods), np.nan)
        p = corrected = nothing
        if self.tested:
            over_chance = (self.scores - self.chance[:, None])[None]
            all_three = np.concatenate([differences, over_chance])
            test = partial(largest_p, all_three, cross_validated=self.cross_validated)
            largest = corrected_within([family(name) for name in self.methods], test)
            p, corrected = largest.uncorrected, largest.corrected
        no_ratio = self._why_no_ratio(verdict)
        ratio = Interval(nothing, nothing)
        if not no_ratio:
            best = self.of_experts[:, self.best]
            ratio = ratio_interval(
                differences[self.best], best, cross_validated=self.cross_validated
            )
        return {
            **{name: self._texts(value) for name, value in self.case.items()},
            "method": self._texts(self.methods),
            **_named("gain", gain),
            "limiting": self._texts([self.experts[number] for number in gain.limiting]),
            "p": p,
            "p_corrected": corrected,
            **self._alone(),
            "low": ratio.low,
            "high": ratio.high,
            "shared": np.full(len(self.methods), self.entropy is not None),
            "has_ratio": np.full(len(self.methods), not no_ratio),
            "note": self._texts(self._notes(gain.interval, ratio, no_ratio)),
        }

    def _texts(self, value: str | list[str]) -> np.ndarray:
        """Return one text per method, as an array of texts also where there is no method."""
        return np.full(len(self.methods), value, dtype=object)

    def _why_no_ratio(self, verdict: "_Case") -> str:
        """Return the reason why the better expert has no ratio to it; "" if it has."""
        if not self.above_chance()[self.best]:
            return _NO_EXPERT
        if not verdict.above_chance()[self.best]:
            return f"{_NO_EXPERT} in {verdict.case['metric']}"
        return ""

    def _alone(self) -> dict[str, Float64[np.ndarray, " methods"]]:
        """Return the gains over the same method trained on one expert paired with itself."""
        names = "alone_gain", "alone_low", "alone_high"
        columns = {name: np.full(len(self.methods), np.nan) for name in names}
        position = {name: number for number, name in enumerate(self.methods)}
        for number, method in enumerate(self.methods):
            paired = [position.get(self_paired(method, expert)) for expert in self.experts]
            controls = [control for control in paired if control is not None]
            if controls:
                differences = (self.scores[:, [number]] - self.scores[:, controls]).T[:, :, None]
                alone = smaller_gain(
                    differences, self.entropy, cross_validated=self.cross_validated
                )
                for name, value in _named("alone", alone).items():
                    key = "alone_gain" if name == "alone" else name
                    columns[key][number] = value[0]
        return columns

    def _notes(self, gain: Interval, ratio: Interval, no_ratio: str) -> list[str]:
        """Return, for each method, why a value is missing, and which expert is better here."""
        of_case = []
        donors, means = len(self.scores), self.of_experts.mean(axis=0)
        if donors < MIN_DONORS:
            few = not_testable(donors)
            of_case.append(
                f"{few} (sections of one donor are no sample of donors)" if donors == 1 else few
            )
        if means[1 - self.best] > means[self.best]:
            of_case.append(f"{self.experts[1 - self.best]} is better on the scored donors")
        if no_ratio:
            of_case.append(no_ratio)
        notes = []
        for number in range(len(self.methods)):
            reasons = list(of_case)
            if donors >= MIN_DONORS and np.isnan(gain.low[number]):
                reasons.append("no interval of the gain: it is the same without any donor")
            if donors >= MIN_DONORS and not no_ratio and np.isnan(ratio.low[number]):
                reasons.append("no interval of sis: it is the same without any donor")
            notes.append("; ".join(reasons))
        return notes


def _named(name: str, gain: Gain) -> dict[str, Float64[np.ndarray, " methods"]]:
    return {
        name: gain.value,
        f"{name}_low": gain.interval.low,
        f"{name}_high": gain.interval.high,
    }
