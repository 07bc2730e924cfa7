"""Rules for claims about gains: over the ceiling, on local tasks, and on niches."""

from collections.abc import Sequence
from dataclasses import replace

from cell_synergy.scoring.families import BEYOND, PAPER, family
from cell_synergy.scoring.tables import ALL_FOLDS, SIGNIFICANCE, headline_rows, is_verdict
from cell_synergy.studies.claims.evidence import (
    NOT_SUPPORTED,
    PARTLY,
    SUPPORTED,
    ClaimsConfig,
    Finding,
    Tables,
    no_method,
    too_few,
)
from cell_synergy.studies.claims.outcomes import (
    FALSE_ALARM,
    FOUND,
    MISSED,
    NOT_FOUND,
    NOT_TESTED,
    RIGHTLY_NOT_FOUND,
    Expected,
    Outcome,
    certified_outcome,
    counts,
    gain_outcome,
    in_words,
)
from cell_synergy.studies.limits import GAIN, OVER_CEILING

_UNSHARED = "unique_image", "unique_expression", "synergy"


def ceiling(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: no aligned method is above the spectral ceiling.

    A task tests this only if it has content above the ceiling, which an aligned method could have
    kept: by the truth, unique or synergistic information of the two embeddings. The claim is not
    supported if an aligned method's linear probe is above that of the canonical variates on such a
    task (found); it is supported if none is on any, and the study could have found it (missed). In
    theory the claim holds for linear heads no wider than the shared directions; spare outputs and
    networks may keep more, so the number of shared directions is told. p values are corrected for
    the paper's methods.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    if not (aligned := tables.aligned(claims)):
        return no_method(claims.aligned)
    over = tables.spectrum[tables.spectrum["quantity"] == "over_ceiling"]
    over = over[is_verdict(over) & (over["method"].map(family) == PAPER)]
    if not over["method"].isin(aligned).any():
        return Finding(NOT_TESTED, "no task, or too few training pairs, to compare with a ceiling")
    if over["low"].isna().all():
        return too_few(tables)
    bits = over["metric"] == "bits"
    unit = over["task"].map({task: tables.entropy(task) for task in over["task"].unique()})
    gains = over[["value", "low", "high"]].to_numpy() / unit.where(bits, 1.0).to_numpy()[:, None]
    over = over.assign(**dict(zip(["gain", "gain_low", "gain_high"], gains.T, strict=True)))
    over, outcomes = tables.with_limits(over, OVER_CEILING), []
    for name, rows in over.groupby("task", sort=False):
        task = str(name)
        truth = tables.true(task, *_UNSHARED) / tables.true(task, "entropy")
        expected = tables.expected(task, truth, claims)
        outcomes.append(gain_outcome(rows, aligned, expected, quantity=OVER_CEILING))
    directions = tables.shared_directions()
    prefix = f"{directions} shared directions; " if directions is not None else ""
    return _decide(outcomes, (MISSED, NOT_FOUND), (FOUND,), claims, prefix)


def local(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: no method of the paper gains over both experts on a local task.

    The claim is not supported if a gain is found on a local task, or if the truth holds one that
    the study could have found and no method shows (missed): the better expert does not hold all
    there is. It is supported if nothing is to be found on any task that is tested, and nothing was.
    Where no truth is known, "not found" counts only if the study could have found a gain of
    `claims.relevant`: absence of a significant gain in a small study shows nothing. False alarms
    are told, and count on neither side. Methods are the paper's, and p values are corrected for
    the best of them.

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
    outcomes = [
        gain_outcome(group, group["method"], _expected(tables, task, claims), quantity=GAIN)
        for task, group in rows.groupby("task", sort=False)
    ]
    return _decide(outcomes, (RIGHTLY_NOT_FOUND, NOT_FOUND), (FOUND, MISSED), claims)


def niches(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: the synergy-aware method gains over both experts on niche tasks.

    The claim is supported if its gain is found on every niche task that tests it, partly if on some
    of them, and not if on none: where a gain that the truth holds, and the study could have found,
    is missed, or a gain is a false alarm. A niche without true synergy and an XOR of independent
    states (`claims.negative_controls`) test nothing: there "not found" is right, because the critic
    that InfoNCE learns adds over independent states, so that their product is not linear in the
    embedding. In a niche without synergy a gain may be found where both modalities have unique
    information; it says nothing about synergy. If no niche has synergy, the verdict is that of
    certified synergy: rightly not found. Where no truth is known, "not found" counts only if the
    study could have found a gain of `claims.relevant`. Gains are of linear probes, and are said to
    be cross-modal only above the method trained on one expert paired with itself.

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
    outcomes = [
        gain_outcome(group, [method], _expected(tables, task, claims), quantity=GAIN)
        for task, group in rows.groupby("task", sort=False)
    ]
    certified = _certified(tables, [o.task for o in outcomes], claims)
    judged = [
        o
        for o in outcomes
        if o.outcome == FALSE_ALARM or not tables.without_synergy(o.task, claims)
    ]
    verdict = _niche_verdict(judged, certified, claims)
    parts = [counts(outcomes), in_words(outcomes), in_words(certified), _bands(tables, method)]
    return Finding(verdict, "; ".join(filter(None, parts)), (*outcomes, *certified))


def linear_readers(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: no aligned method gains over both experts on a niche with synergy.

    The claim is about linear readers of an aligned embedding. It is not supported if an aligned
    method's gain is found on a niche, and supported if none is, although a niche has synergy of the
    size that the study finds (missed). An XOR of independent states tests it like every niche. A
    niche without synergy tests nothing.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    return _shows_synergy(tables, claims, claims.aligned, PAPER)


def products(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return the finding: nor does a reader with products of the two aligned sides.

    As `linear_readers`, of the methods `claims.products`. Where their gain is found, alignment has
    not lost the synergy: the readout lacked products.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    return _shows_synergy(tables, claims, claims.products, BEYOND)


def _shows_synergy(
    tables: Tables, claims: ClaimsConfig, methods: Sequence[str], group: str
) -> Finding:
    """Return the finding: none of some methods of a family gains on a niche with synergy."""
    present = [name for name in methods if name in tables.methods]
    if not present:
        return no_method(methods)
    rows = tables.gains(claims.niches, group)
    rows = rows[rows["task"].isin(rows.loc[rows["method"].isin(present), "task"])]
    if rows.empty:
        return Finding(NOT_TESTED, "the data set has no niche task")
    if rows["p_corrected"].isna().all():
        return too_few(tables)
    outcomes = []
    for name, of_task in rows.groupby("task", sort=False):
        task = str(name)
        synergy = tables.true(task, "synergy") / tables.true(task, "entropy")
        expected = Expected(synergy, visible=True, zero=claims.zero)
        outcome = gain_outcome(of_task, present, expected, quantity=GAIN)
        if tables.without_synergy(task, claims) and outcome.outcome == FALSE_ALARM:
            outcome = replace(outcome, outcome=NOT_TESTED)  # a gain of two unique parts
        outcomes.append(outcome)
    return _decide(outcomes, (MISSED, NOT_FOUND), (FOUND,), claims)


def _niche_verdict(outcomes: list[Outcome], certified: list[Outcome], claims: ClaimsConfig) -> str:
    """Return the verdict on gains on niches with synergy, or with unknown truth."""
    deciding = _deciding(outcomes, claims)
    opposing = deciding & {MISSED, FALSE_ALARM, NOT_FOUND}
    if FOUND in deciding:
        return PARTLY if opposing else SUPPORTED
    if opposing:
        return NOT_SUPPORTED
    if not outcomes and {o.outcome for o in certified} == {RIGHTLY_NOT_FOUND}:
        return RIGHTLY_NOT_FOUND
    return NOT_TESTED


def _deciding(outcomes: list[Outcome], claims: ClaimsConfig) -> set[str]:
    """Return the outcomes, but for "not found" where a relevant gain would not have been found."""
    return {o.outcome for o in outcomes if o.outcome != NOT_FOUND or o.limit <= claims.relevant}


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
    deciding = _deciding(outcomes, claims)
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
