"""The verdicts on all claims as one table."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm

from cell_synergy.core.names import LINEAR
from cell_synergy.data.remarks import remarks_by_dataset
from cell_synergy.scoring.inference import CONFIDENCE
from cell_synergy.studies.claims.evidence import (
    NOT_TESTABLE,
    ClaimsConfig,
    Finding,
    Tables,
    if_holds,
)
from cell_synergy.studies.claims.rules import CAPTURED, COLLAPSE, HIGHEST, RULES

COLUMNS = ["claim", "dataset", "verdict", "evidence", "simulated"]
TRIFEATURE = "trifeature"

_UNIQUE = ["unique_image", "unique_expression"]


def verdicts(
    tables: Mapping[str, Tables],
    simulated: Mapping[str, bool],
    trifeature: pd.DataFrame,
    claims: ClaimsConfig,
) -> pd.DataFrame:
    """Return the verdict on every claim for every data set and for Trifeature's embeddings.

    Parameters
    ----------
    tables, simulated
        Result tables of each data set, and whether it is simulated, both by name of the data set.
    trifeature
        Scores of the stage `trifeature`.
    claims
        Methods and tasks that the claims are about.

    Returns
    -------
    :
        One row per data set and claim, those of Trifeature last, with the columns `claim, dataset,
        verdict, evidence, simulated`; claims that Trifeature cannot test are `not testable here`.

    Raises
    ------
    DataError
        If a method lacks a score of a task and donor that others have.
    """
    rows = [
        (claim, dataset, *rule(of_dataset, claims), simulated[dataset])
        for dataset, of_dataset in tables.items()
        for claim, rule in RULES.items()
    ]
    findings = on_trifeature(trifeature, claims)
    rows += [(claim, TRIFEATURE, *findings.get(claim, _NO_TISSUE), True) for claim in RULES]
    return pd.DataFrame(rows, columns=COLUMNS)


_NO_TISSUE: Finding = (NOT_TESTABLE, "the task has no tissue, donors or niches")


def on_trifeature(scores: pd.DataFrame, claims: ClaimsConfig) -> dict[str, Finding]:
    """Return the findings on the claims that Trifeature tests, from binomial intervals.

    Scores are balanced accuracies of linear probes, averaged over seeds, with 95 % intervals of the
    normal approximation to a binomial of the test pairs of one seed. A method (all aligned ones;
    `claims.redundant`) retains redundancy rather than uniqueness if its interval on redundant
    content is above both intervals on unique content. The synergy-aware method is highest if its
    synergy interval is above chance and above the intervals of all other methods.

    Parameters
    ----------
    scores
        Scores of the stage `trifeature`.
    claims
        Methods and tasks that the claims are about.

    Returns
    -------
    :
        Verdict and evidence, by claim; claims on methods without scores are left out.
    """
    linear = scores[scores["probe"] == LINEAR]
    value = linear.pivot_table(index="method", columns="task", values="value")
    pairs = linear.pivot_table(index="method", columns="task", values="n")
    half = norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(value * (1 - value) / pairs)
    low, high = value - half, value + half
    findings: dict[str, Finding] = {}
    aligned = [name for name in claims.aligned if name in value.index]
    if aligned:
        holds = low.loc[aligned, "redundancy"] > high.loc[aligned, _UNIQUE].max(axis=1)
        findings[COLLAPSE] = if_holds(
            bool(holds.all()), "; ".join(_accuracies(value, name) for name in aligned)
        )
    redundant = claims.redundant
    if redundant in value.index:
        captures = low.loc[redundant, "redundancy"] > high.loc[redundant, _UNIQUE].max()
        findings[CAPTURED] = if_holds(bool(captures), _accuracies(value, redundant))
    if claims.synergy_aware in value.index and len(value) > 1:
        others = high["synergy"].drop(claims.synergy_aware)
        chance = 1 / linear.loc[linear["task"] == "synergy", "classes"].iloc[0]
        synergy_low = low.loc[claims.synergy_aware, "synergy"]
        listed = ", ".join(f"{name} {value.loc[name, 'synergy']:.2f}" for name in value.index)
        findings[HIGHEST] = if_holds(
            bool(synergy_low > max(chance, others.max())),
            f"synergy, balanced accuracy of a linear probe: {listed} (chance {chance:.2f})",
        )
    return findings


def markdown(table: pd.DataFrame) -> str:
    """Return the verdicts as a Markdown table with a row per claim and a column per data set.

    Titles of simulated data sets end in "(simulated)"; remarks on data sets follow the table.
    """
    names = table.drop_duplicates("dataset")
    titles = [
        f"{row.dataset} (simulated)" if row.simulated else str(row.dataset)
        for row in names.itertuples()
    ]
    wide = table.pivot_table(index="claim", columns="dataset", values="verdict", aggfunc="first")
    lines = [f"| {' | '.join(['claim', *titles])} |", "|---" * (len(titles) + 1) + "|"]
    for claim in table["claim"].drop_duplicates():
        cells = [str(wide.loc[claim, name]) for name in names["dataset"]]
        lines.append(f"| {' | '.join([claim, *cells])} |")
    lines += [f"\n{name}: {remark}" for name, remark in remarks_by_dataset(table).items()]
    return "\n".join(lines) + "\n"


def _accuracies(value: pd.DataFrame, name: str) -> str:
    """Return the balanced accuracies of one method in words."""
    method = value.loc[name]
    return (
        f"{name}: balanced accuracy {method['redundancy']:.2f} of what is redundant, "
        f"{method['unique_image']:.2f} and {method['unique_expression']:.2f} of what is unique"
    )
