"""The verdicts on all claims as one table."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm

from cell_synergy.core.names import LINEAR
from cell_synergy.data.remarks import of_datasets
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
    found: Mapping[str, Tables],
    simulated: Mapping[str, bool],
    trifeature: pd.DataFrame,
    claims: ClaimsConfig,
) -> pd.DataFrame:
    """Return the verdict on every claim on every data set, and on Trifeature's drawn embeddings.

    Parameters
    ----------
    found, simulated
        Of each data set.
    trifeature
        Scores of the stage of this name.
    claims
        Which methods and tasks the claims are about.
    """
    rows = [
        (claim, dataset, *rule(tables, claims), simulated[dataset])
        for dataset, tables in found.items()
        for claim, rule in RULES.items()
    ]
    drawn = on_trifeature(trifeature, claims)
    rows += [(claim, TRIFEATURE, *drawn.get(claim, _ELSEWHERE), True) for claim in RULES]
    return pd.DataFrame(rows, columns=COLUMNS)


_ELSEWHERE: Finding = (NOT_TESTABLE, "the task has no tissue, donors or niches")


def on_trifeature(scores: pd.DataFrame, claims: ClaimsConfig) -> dict[str, Finding]:
    """Return the claims that Trifeature tests, by binomial intervals over its test pairs.

    Alignment keeps redundancy more than uniqueness, and captures it, if its interval is above both
    others; the synergy-aware method is highest if its synergy is above chance and above the
    others'. Linear probes; the interval of a mean over seeds takes them to share their pairs.
    """
    linear = scores[scores["probe"] == LINEAR]
    value = linear.pivot_table(index="method", columns="task", values="value")
    pairs = linear.pivot_table(index="method", columns="task", values="n")
    half = norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(value * (1 - value) / pairs)
    low, high = value - half, value + half
    found: dict[str, Finding] = {}
    known = [name for name in claims.aligned if name in value.index]
    if known:
        holds = low.loc[known, "redundancy"] > high.loc[known, _UNIQUE].max(axis=1)
        found[COLLAPSE] = if_holds(
            bool(holds.all()), "; ".join(_kept(value, name) for name in known)
        )
    if claims.redundant in value.index:
        own = claims.redundant
        holds_own = low.loc[own, "redundancy"] > high.loc[own, _UNIQUE].max()
        found[CAPTURED] = if_holds(bool(holds_own), _kept(value, own))
    if claims.synergy_aware in value.index and len(value) > 1:
        others = high["synergy"].drop(claims.synergy_aware)
        chance = 1 / linear.loc[linear["task"] == "synergy", "classes"].iloc[0]
        least = low.loc[claims.synergy_aware, "synergy"]
        said = ", ".join(f"{name} {value.loc[name, 'synergy']:.2f}" for name in value.index)
        found[HIGHEST] = if_holds(
            bool(least > max(chance, others.max())),
            f"synergy, balanced accuracy of a linear probe: {said} (chance {chance:.2f})",
        )
    return found


def markdown(table: pd.DataFrame) -> str:
    """Return the verdicts as a Markdown table, one column per data set, simulated ones named so.

    What has to be said of a data set stands below.
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
    lines += [f"\n{name}: {remark}" for name, remark in of_datasets(table).items()]
    return "\n".join(lines) + "\n"


def _kept(value: pd.DataFrame, name: str) -> str:
    own = value.loc[name]
    return (
        f"{name}: balanced accuracy {own['redundancy']:.2f} of what is redundant, "
        f"{own['unique_image']:.2f} and {own['unique_expression']:.2f} of what is unique"
    )
