"""Rules for claims about gains: over the ceiling, on local tasks, and on niches."""

from dataclasses import replace

import pandas as pd

from cell_synergy.scoring.tables import ALL_FOLDS, SIGNIFICANCE, headline_rows, is_verdict
from cell_synergy.studies.claims.evidence import (
    NOT_SUPPORTED,
    SUPPORTED,
    ClaimsConfig,
    Finding,
    Tables,
    fusion_rows,
    no_method,
    too_few,
)
from cell_synergy.studies.claims.outcomes import (
    FALSE_ALARM,
    FOUND,
    GAIN,
    MISSED,
    NOT_FOUND,
    NOT_TESTED,
    OVER_CEILING,
    RIGHTLY_NOT_FOUND,
    Expected,
    Outcome,
    certified_outcome,
    counts,
    gain_outcome,
    in_words,
    typical_sd,
)

_UNSHARED = "unique_image", "unique_expression", "synergy"


def ceiling(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: no aligned method is above the spectral ceiling.

    A task tests this only if it has content above the ceiling, which an aligned method could have
    kept: by the truth, unique or synergistic information of the two embeddings. The claim is not
    supported if an aligned method's linear probe is above that of the canonical variates on such a
    task (found); it is supported if none is on any, and the study could have found it (missed). In
    theory the claim holds for linear heads no wider than the shared directions; spare outputs and
    networks may keep more, so the number of shared directions is told. p values are corrected for
    the fusion methods.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    if not (aligned := tables.aligned(claims)):
        return no_method(claims.aligned)
    over = tables.spectrum[tables.spectrum["quantity"] == "over_ceiling"]
    over = fusion_rows(over[is_verdict(over)])
    if not over["method"].isin(aligned).any():
        return Finding(NOT_TESTED, "no task, or too few training pairs, to compare with a ceiling")
    if over["low"].isna().all():
        return too_few(tables)
    bits = over["metric"] == "bits"
    unit = over["task"].map({task: tables.entropy(task) for task in over["task"].unique()})
    gains = over[["value", "low", "high"]].to_numpy() / unit.where(bits, 1.0).to_numpy()[:, None]
    over = over.assign(**dict(zip(["gain", "gain_low", "gain_high"], gains.T, strict=True)))
    sd, outcomes = typical_sd(over), []
    for name, rows in over.groupby("task", sort=False):
        task = str(name)
        truth = tables.true(task, *_UNSHARED) / tables.true(task, "entropy")
        expected = tables.expected(task, truth, claims)
        outcomes.append(_gain(rows, aligned, expected, claims, OVER_CEILING, sd))
    directions = tables.shared_directions()
    prefix = f"{directions} shared directions; " if directions is not None else ""
    return _decide(outcomes, (MISSED, NOT_FOUND), (FOUND,), claims, prefix)


def local(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: no fusion method gains over both experts on a local task.

    The claim is not supported if a gain is found on a local task, or if the truth holds one that
    the study could have found and no method shows (missed): the better expert does not hold all
    there is. It is supported if nothing is to be found on any task that is tested, and nothing was.
    Where no truth is known, "not found" counts only if the study could have found a gain of
    `claims.relevant`: absence of a significant gain in a small study shows nothing. False alarms
    are told, and count on neither side. p values are corrected for the best of all fusion methods.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    rows = tables.gains(claims.local)
    if rows.empty:
        return Finding(NOT_TESTED, "the data set has no local task")
    if rows["p_corrected"].isna().all():
        return too_few(tables)
    sd = typical_sd(tables.gains())
    outcomes = [
        _gain(group, group["method"], _expected(tables, task, claims), claims, GAIN, sd)
        for task, group in rows.groupby("task", sort=False)
    ]
    return _decide(outcomes, (RIGHTLY_NOT_FOUND, NOT_FOUND), (FOUND, MISSED), claims)


def niches(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: the synergy-aware method gains over both experts on niche tasks.

    The claim is supported if its gain is found on a niche task, and on all that are tested. It is
    not supported if a gain that the truth holds, and the study could have found, is missed; or if a
    gain is a false alarm. A task without true gain (the twin without synergy) and an XOR of
    independent states (`claims.negative_controls`) test nothing: there "not found" is right,
    because the critic that InfoNCE learns adds over independent states, so that their product is
    not linear in the embedding. Where no truth is known, "not found" counts only if the study could
    have found a gain of `claims.relevant`. Gains are of linear probes, and are said to be
    cross-modal only above the method trained on one expert paired with itself. Certified synergy is
    judged beside them, and does not decide.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    method = claims.synergy_aware
    if method not in tables.methods:
        return no_method([method])
    rows = tables.gains(claims.niches)
    rows = rows[rows["task"].isin(rows.loc[rows["method"] == method, "task"])]
    if rows.empty:
        return Finding(NOT_TESTED, "the data set has no niche task")
    if rows["p_corrected"].isna().all():
        return too_few(tables)
    sd = typical_sd(tables.gains())
    outcomes = [
        _gain(group, [method], _expected(tables, task, claims), claims, GAIN, sd)
        for task, group in rows.groupby("task", sort=False)
    ]
    finding = _decide(outcomes, (FOUND,), (MISSED, FALSE_ALARM, NOT_FOUND), claims)
    certified = _certified(tables, [o.task for o in outcomes], claims)
    parts = [finding.evidence, in_words(certified), _bands(tables, method)]
    evidence = "; ".join(filter(None, parts))
    return Finding(finding.verdict, evidence, (*outcomes, *certified))


def _gain(
    rows: pd.DataFrame,
    methods: "pd.Series[str] | list[str]",
    expected: Expected,
    claims: ClaimsConfig,
    quantity: str,
    sd: float,
) -> Outcome:
    return gain_outcome(
        rows, methods, expected, quantity=quantity, power=claims.power,
        correlation=claims.correlation, typical_sd=sd,
    )  # fmt: skip


def _expected(tables: Tables, task: object, claims: ClaimsConfig) -> Expected:
    """Return what is known about the gain over both experts on a task."""
    return tables.expected(str(task), tables.true(str(task), "gain"), claims)


def _decide(
    outcomes: list[Outcome],
    supporting: tuple[str, ...],
    opposing: tuple[str, ...],
    claims: ClaimsConfig,
    prefix: str = "",
) -> Finding:
    """Return the finding on a claim; one opposing task outweighs all supporting ones.

    "Not found" counts only if the study would have found a relevant gain.

    Parameters
    ----------
    outcomes
        Outcomes of all tasks.
    supporting, opposing
        Outcomes that support the claim, and those that oppose it; all others do not decide.
    claims
        Sizes of gains that decide.
    prefix
        First words of the evidence.
    """
    deciding = {o.outcome for o in outcomes if o.outcome != NOT_FOUND or o.limit <= claims.relevant}
    verdict = SUPPORTED if deciding & set(supporting) else NOT_TESTED
    if deciding & set(opposing):
        verdict = NOT_SUPPORTED
    return Finding(verdict, f"{prefix}{counts(outcomes)}; {in_words(outcomes)}", tuple(outcomes))


def _certified(tables: Tables, tasks: list[str], claims: ClaimsConfig) -> list[Outcome]:
    """Return the outcomes of the method's certified synergy on some tasks."""
    rows = tables.information[tables.information["quantity"] == "certified_synergy"]
    rows = rows[rows["method"] == claims.synergy_aware]
    outcomes = []
    for task in tasks:
        if task in set(rows["task"]):  # not of a regression, or of a task with one class
            bits, entropy = tables.true(task, "synergy"), tables.true(task, "entropy")
            expected = tables.expected(task, bits / entropy, claims)
            expected = replace(expected, truth=bits, zero=claims.zero * entropy)
            row = rows[rows["task"] == task].iloc[0]
            outcomes.append(certified_outcome(row, expected))
    return outcomes


def _bands(tables: Tables, method: str) -> str:
    """Return in words how often a method gains in predicting neighbours, over targets and bands."""
    bands = headline_rows(tables.distance, fold=ALL_FOLDS)
    bands = bands[(bands["method"] == method) & bands["band"].notna()]
    bands = bands[bands["p_corrected"].notna()]
    if bands.empty:
        return ""
    stars = int((bands["p_corrected"] < SIGNIFICANCE).sum())
    chance = SIGNIFICANCE * len(bands)
    return (
        f"neighbours: gains in {stars} of {len(bands)} tested targets and bands (by chance up to "
        f"{chance:.1f})"
    )
