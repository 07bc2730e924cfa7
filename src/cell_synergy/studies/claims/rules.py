"""The rules that decide the paper's claims on one data set.

Each claim has a rule, a function of the study's tables that returns the verdict (`supported`, `not
supported` or `not testable here`) and the evidence in words. A rule decides by 95 % intervals over
donors and by one-sided p values corrected for the methods compared, not by the size of an effect.
A claim is not testable here if a method or task that it is about is absent, or there are too few
test donors (under five), training pairs or correlations. `RULES` lists all rules.
"""

from collections.abc import Callable, Mapping

import pandas as pd

from cell_synergy.core.names import CONTROLS, DONOR, LINEAR, UNIMODAL
from cell_synergy.scoring.inference import MIN_DONORS, donor_interval
from cell_synergy.scoring.reference import require_complete
from cell_synergy.scoring.tables import ALL_FOLDS, HEADLINE_METRICS, headline_rows
from cell_synergy.studies.claims.evidence import (
    NOT_TESTABLE,
    ClaimsConfig,
    Finding,
    Tables,
    if_holds,
    no_method,
    too_few,
)
from cell_synergy.studies.scaling import DRAWN_LABELS, TUNED

_SIGNIFICANCE = 0.05
_UNIQUE = "unique_image", "unique_expression"


def redundancy(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return verdict and evidence: aligned methods retain more shared than unique content.

    For each method the 95 % interval over donors of the explained variance of the canonical
    variates must be above the intervals for the residuals of both embeddings.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    if not (aligned := tables.aligned(claims)):
        return no_method(claims.aligned)
    shares = tables.retained_shares()
    if isinstance(shares, str):
        return NOT_TESTABLE, shares
    means, low, high = (shares[column].loc[aligned] for column in ("value", "low", "high"))
    holds = low["shared"] > high[list(_UNIQUE)].max(axis=1)
    ranges = [
        f"{means[name].min():.2f} to {means[name].max():.2f}" for name in ("shared", *_UNIQUE)
    ]
    random = ""
    if "random" in shares["value"].index:
        null = shares["value"].loc["random"]
        listed = ", ".join(f"{null[name]:.2f}" for name in ("shared", *_UNIQUE))
        random = f" (random projection {listed})"
    return if_holds(
        bool(holds.all()),
        f"{holds.sum()} of {len(holds)} aligned methods; share kept of what both show {ranges[0]}, "
        f"of what the image alone shows {ranges[1]}, expression {ranges[2]}{random}",
    )


def ceiling(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return verdict and evidence: no aligned method is above the spectral ceiling on any task.

    Supported if no aligned method's linear probe scores significantly higher (macro F1, R2; p
    corrected for the methods, below 0.05) than a linear probe of the canonical variates.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    if not (aligned := tables.aligned(claims)):
        return no_method(claims.aligned)
    over = tables.spectrum[tables.spectrum["quantity"] == "over_ceiling"]
    over = over[over["method"].isin(aligned) & over["metric"].isin(HEADLINE_METRICS)]
    if over.empty:
        return NOT_TESTABLE, "no task, or too few training pairs, to compare with a ceiling"
    if over["low"].isna().all():
        return too_few(tables)
    above = over[over["verdict"] == "above"]
    counts = above.groupby("task")["method"].nunique()
    largest = over.sort_values("value", kind="stable").iloc[-1]
    tasks = ", ".join(f"{_words(task)} ({n})" for task, n in counts.items()) or "none"
    return if_holds(
        above.empty,
        f"above the best linear reader of the canonical variates on (methods of "
        f"{len(aligned)}): {tasks}; most on {_words(largest['task'])}, {largest['method']} "
        f"{_gain_with_interval(largest, 'value')}",
    )


def local(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return verdict and evidence: no fusion method is above the better expert on a local task.

    Supported if no gain of a linear probe is significant (one-sided p, corrected, below 0.05).

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    rows = tables.headline_sis(claims.local)
    rows = rows[~rows["method"].isin(CONTROLS)]
    if rows.empty:
        return NOT_TESTABLE, "the data set has no local task"
    if rows["gain_low"].isna().all():
        return too_few(tables)
    above = rows[rows["p_corrected"] < _SIGNIFICANCE]
    evidence = []
    for task in rows["task"].unique():
        methods = rows[rows["task"] == task].sort_values("gain", kind="stable")
        best, count = methods.iloc[-1], (above["task"] == task).sum()
        evidence.append(
            f"{_words(task)}: {count} of {len(methods)} above {best['best']} "
            f"({best['best_score']:.2f}), best {best['method']} {_gain_with_interval(best, 'gain')}"
        )
    return if_holds(above.empty, "; ".join(evidence))


def niches(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return verdict and evidence: the synergy-aware method gains on every niche task.

    Supported if its gain over the better expert is significant on every niche task, with linear
    probes (one-sided p, corrected for the methods, below 0.05). Evidence only: synergy of the two
    embeddings and certified synergy of the method, in bits, and the number of targets and distance
    bands with a significant gain. Not testable here without the method, a niche task or five test
    donors.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    if claims.synergy_aware not in tables.methods:
        return no_method([claims.synergy_aware])
    rows = tables.headline_sis(claims.niches)
    rows = rows[rows["method"] == claims.synergy_aware]
    if rows.empty:
        return NOT_TESTABLE, "the data set has no niche task"
    if rows["gain_low"].isna().all():
        return too_few(tables)
    evidence = [
        f"{_words(row['task'])} {_gain_with_interval(row, 'gain')}" for _, row in rows.iterrows()
    ]
    information = tables.information.set_index(["task", "method", "quantity"])["bits"]
    for task in rows["task"]:
        keys = (task, "pair", "S"), (task, claims.synergy_aware, "certified_synergy")
        if not information.index.isin(keys).any():  # a regression, or a task with one class
            continue
        # Adding 0.0 turns a negative zero into zero.
        synergy, certified = (round(information[key], 2) + 0.0 for key in keys)
        evidence.append(f"{_words(task)}: S {synergy:.2f} bits, certified {certified:.2f}")
    bands = tables.distance[tables.distance["method"] == claims.synergy_aware]
    bands = bands[bands["band"].notna() & (bands["fold"] == ALL_FOLDS)]
    bands = bands[bands["probe"].str.startswith(LINEAR)]
    above = (bands["p_corrected"] < _SIGNIFICANCE).sum()
    evidence.append(
        f"neighbours: above the better expert in {above} of {len(bands)} targets and bands"
    )
    return if_holds(bool((rows["p_corrected"] < _SIGNIFICANCE).all()), "; ".join(evidence))


def efficiency(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return verdict and evidence: the fine-tuned expert has the highest mean over all fractions.

    Labels are subsampled with the pairs. Scores are averaged within donors over local tasks,
    fractions of the pairs, draws and seeds. The 95 % interval of each difference must be above 0.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    rows = tables.scaling
    rows = rows[(rows["labels"] == DRAWN_LABELS) & (rows["note"] == "")]
    rows = rows[rows["metric"].isin(HEADLINE_METRICS) & rows["task"].isin(claims.local)]
    keys = ["task", "metric", "fraction", "donor"]
    table = rows.pivot_table(index=keys, columns="method", values="value").dropna()
    if TUNED not in table or table.empty:
        return NOT_TESTABLE, "too few pairs, or no local task, for the fine-tuned expert"
    donors = table.groupby("donor").mean()
    if len(donors) < MIN_DONORS:
        return too_few(tables)
    others = [str(method) for method in donors.columns.drop(TUNED)]
    differences = donors[[TUNED]].to_numpy() - donors[others].to_numpy()
    interval = donor_interval(differences, cross_validated=len(rows["fold"].unique()) > 1)
    means = differences.mean(axis=0)
    listed = [
        f"{mean:+.3f} over {method} ({low:+.3f} to {high:+.3f})"
        for method, mean, low, high in zip(others, means, interval.low, interval.high, strict=True)
    ]
    fractions = sorted(table.index.unique("fraction"))
    return if_holds(
        bool((interval.low > 0).all()),
        f"mean over {fractions[0]:g} to {fractions[-1]:g} % of the pairs: {', '.join(listed)}",
    )


def highest(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return verdict and evidence: the synergy-aware method has the highest mean of all fusions.

    Scores are of linear probes (macro F1, R2), averaged over tasks; controls, single modalities and
    the donor task are left out. The 95 % interval over donors of its difference from each other
    method must be above 0. (Differences of scores equal those of gains over the better expert.)

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.

    Raises
    ------
    DataError
        If a method lacks a score of a task and donor that others have.
    """
    if claims.synergy_aware not in tables.methods:
        return no_method([claims.synergy_aware])
    rows = headline_rows(tables.scores)
    rows = rows[~rows["method"].isin([*CONTROLS, *UNIMODAL]) & (rows["task"] != DONOR)]
    if len(rows["method"].unique()) < 2:  # noqa: PLR2004 - itself and another
        return NOT_TESTABLE, "no task, or no other fusion method, to compare by"
    means = rows.groupby(["task", "donor", "method"])["value"].mean().reset_index()
    wide = means.pivot_table(index=["task", "donor"], columns="method", values="value")
    require_complete(wide.isna())
    donors = wide.groupby("donor").mean()
    if len(donors) < MIN_DONORS:
        return too_few(tables)
    others = donors.columns.drop(claims.synergy_aware)
    differences = donors[[claims.synergy_aware]].to_numpy() - donors[others].to_numpy()
    interval = donor_interval(differences, cross_validated=len(rows["fold"].unique()) > 1)
    ranking = donors.mean().sort_values(ascending=False)
    rank = list(ranking.index).index(claims.synergy_aware) + 1
    above, below = int((interval.low > 0).sum()), int((interval.high < 0).sum())
    return if_holds(
        bool((interval.low > 0).all()),
        f"place {rank} of {len(ranking)} by the mean over {len(wide.index.unique('task'))} tasks "
        f"({ranking[claims.synergy_aware]:.3f}; {ranking.index[0]} {ranking.iloc[0]:.3f}); above "
        f"{above} and below {below} of {len(others)} others",
    )


def captured(tables: Tables, claims: ClaimsConfig) -> Finding:
    """Return verdict and evidence: `claims.redundant` (SimCLR) retains mainly shared content.

    Supported if the 95 % interval over donors of its explained variance (1 = all; may be negative)
    of the canonical variates is above the interval of the control `shuffled`, trained on shuffled
    pairs, and above its own intervals for the residuals of both embeddings.

    Parameters
    ----------
    tables, claims
        Result tables of one data set; methods and tasks that the claims are about.
    """
    if absent := [n for n in (claims.redundant, "shuffled") if n not in tables.methods]:
        return no_method(absent)
    shares = tables.retained_shares()
    if isinstance(shares, str):
        return NOT_TESTABLE, shares
    low, high, value = (shares[column] for column in ("low", "high", "value"))
    method, null = value.loc[claims.redundant], value.loc["shuffled"]
    unique_high = high.loc[claims.redundant, list(_UNIQUE)]
    limit = max(high.loc["shuffled", "shared"], *unique_high)
    return if_holds(
        bool(low.loc[claims.redundant, "shared"] > limit),
        f"{claims.redundant} keeps {method['shared']:.2f} of what both show (shuffled pairs "
        f"{null['shared']:.2f}), {method['unique_image']:.2f} and "
        f"{method['unique_expression']:.2f} of "
        "what image and expression alone show",
    )


COLLAPSE = "alignment keeps what both modalities show more than the rest"
HIGHEST = "CoMM has the highest SIS"
CAPTURED = "SimCLR captures redundancy"
RULES: Mapping[str, Callable[[Tables, ClaimsConfig], Finding]] = {
    COLLAPSE: redundancy,
    "what is aligned stays at or under the linear ceiling": ceiling,
    "local tasks are served by one modality": local,
    "niches gain from synergy-aware fusion": niches,
    "fine-tuning one expert is the most sample-efficient": efficiency,
    HIGHEST: highest,
    CAPTURED: captured,
}
"""The rule that decides each of the paper's claims."""


def _gain_with_interval(row: "pd.Series[float]", name: str) -> str:
    """Return a gain and its interval in words; the SIS table has them in columns `gain_...`."""
    prefix = "gain_" if "gain_low" in row else ""
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    return f"{row[name]:+.3f} ({low:+.3f} to {high:+.3f})"


def _words(task: object) -> str:
    return str(task).replace("_", " ")
