"""The verdicts on all claims as one table, and as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from cell_synergy.core.names import LINEAR
from cell_synergy.data.remarks import remarks_by_dataset
from cell_synergy.scoring.families import family
from cell_synergy.scoring.inference import CONFIDENCE
from cell_synergy.studies.claims.evidence import ClaimsConfig, Finding, Tables, if_holds
from cell_synergy.studies.claims.outcomes import CERTIFIED, NOT_TESTED, OUTCOMES
from cell_synergy.studies.claims.rank_rules import BESIDE
from cell_synergy.studies.claims.rules import CAPTURED, COLLAPSE, HIGHEST_ON_NICHES, RULES

COLUMNS = [
    "claim", "dataset", "task", "quantity", "method", "metric", "verdict", "value", "low", "high",
    "p_corrected", "truth", "limit", "evidence", "simulated", "role",
]  # fmt: skip
TRIFEATURE = "trifeature"
WHOLE = "all"  # the column `task` of the row with the verdict on a claim and data set

_UNIQUE = ["unique_image", "unique_expression"]
_LEGEND = """\
A claim is *supported*, *partly supported* (on some of the niches that test it) or *not supported*;
*rightly not found* where a twin has no synergy and none was found; or *not tested*. A verdict is
followed by the number of tasks with each outcome:

- *found*: something is significant after correction for the methods of its family;
- *missed*: nothing is, although the true value is at least the detection limit, a gain that this
  study finds with a probability of {power:.0%} (certified synergy has no limit: it is missed if the
  true value is above its 95% interval);
- *rightly not found*: there is nothing to be found, or nothing that the paper's methods can show
  (an XOR of two independent states, which none of them makes linear);
- *false alarm*: something is found where there is nothing;
- *not found*: the truth does not decide, because the tissue is real or because the claim ranks
  methods. It counts if a gain or lead of {relevant:g} would have been found, or, in a ranking, if
  another method is significantly better;
- *not tested*: the true value is below the limit, or the comparison would not be fair.

An outcome is not yet a verdict: a gain found on a local task, or over the ceiling, is evidence
against that claim; content above the ceiling that no aligned method keeps, *missed*, is evidence
for it, and so is synergy that no aligned method shows for the claims that alignment cannot show it.
The two claims about readers differ in the reader alone: both read aligned embeddings, the second
with products of the two sides. Labels of the niches are products of states by construction: this
says what a readout can show, not that the niches of real tissue are products.

A *gain* is the usable information of a linear probe, less that of the better of the two experts,
and a gain *over the ceiling* is less that of the canonical variates; both in bits as a share of the
entropy of the labels, or R2 for regressions. Gains are not synergy, and claims on the highest SIS
are judged by gains, among the paper's ten methods. *Certified synergy* is in bits. A *lead* is the
difference to the next best method. Detection limits are those of results/limits.csv.
"""
_STARS = """\
Gains with a corrected p below .05 have a star in all tables: {} of them, in {} families of tests
(a family is the paper's ten methods, or the methods beyond the paper, on one task with one probe).
If nothing were to be found, up to {:.1f} families would be expected to have a star by chance.
"""
_CAPTION = """\
Each verdict in one sentence, with the value of the best method that the claim is about, in brackets
the true value (what the best reader of both embeddings would have) and the detection limit, where
there are any. Intervals, p values and further evidence are in claims.csv.
"""


def verdicts(
    tables: Mapping[str, Tables],
    simulated: Mapping[str, bool],
    roles: Mapping[str, str],
    trifeature: pd.DataFrame,
    claims: ClaimsConfig,
) -> pd.DataFrame:
    """Return the verdict on every claim for every data set and for Trifeature's embeddings.

    Parameters
    ----------
    tables, simulated, roles
        Result tables of each data set, whether it is simulated, and what a simulated one is for
        (empty for real tissue), all by name of the data set.
    trifeature
        Scores of the stage `trifeature`.
    claims
        Methods and tasks that the claims are about, and sizes of gains that decide them.

    Returns
    -------
    :
        For each data set and claim, those of Trifeature last, a row with `all` in the column
        `task`, whose `verdict` is one of `evidence.VERDICTS`; and a row for each task, with its
        outcome in `verdict`, the test's `quantity`, `method`, `metric`, `value`, interval `low,
        high` and `p_corrected`, the `truth` and the detection `limit` (the attributes of
        `cell_synergy.studies.claims.outcomes.Outcome`). Further columns: `claim, dataset, evidence,
        simulated, role`.

    Raises
    ------
    DataError
        If a method lacks a score of a task and donor that others have.
    """
    rows = []
    findings = {
        dataset: {claim: rule(of_dataset, claims) for claim, rule in RULES.items()}
        for dataset, of_dataset in tables.items()
    }
    on_drawn = on_trifeature(trifeature, claims)
    findings[TRIFEATURE] = {claim: on_drawn.get(claim, _NO_TISSUE) for claim in RULES}
    for dataset, by_claim in findings.items():
        for claim, finding in by_claim.items():
            key = {"claim": claim, "dataset": dataset, "simulated": simulated.get(dataset, True)}
            key["role"] = roles.get(dataset, "")
            verdict = {"task": WHOLE, "verdict": finding.verdict, "evidence": finding.evidence}
            rows.append(key | verdict)
            for outcome in finding.outcomes:
                values = vars(outcome)
                rows.append(key | values | {"verdict": values["outcome"]})
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    words = ["quantity", "method", "metric", "role"]
    return table.assign(**{name: table[name].fillna("") for name in words})


_NO_TISSUE = Finding(NOT_TESTED, "the benchmark has no tissue, donors or niches")


def on_trifeature(scores: pd.DataFrame, claims: ClaimsConfig) -> dict[str, Finding]:
    """Return the findings on the claims that Trifeature tests, from binomial intervals.

    Scores are balanced accuracies of linear probes, averaged over seeds, with 95 % intervals of the
    normal approximation to a binomial of the test pairs of one seed. A method (all aligned ones;
    `claims.redundant`) retains redundancy rather than uniqueness if its interval on redundant
    content is above both intervals on unique content. The synergy-aware method is highest if its
    synergy interval is above chance and above the intervals of all others of its family.

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
    half = ndtri((1 + CONFIDENCE) / 2) * np.sqrt(value * (1 - value) / pairs)
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
    aware = claims.synergy_aware
    rivals = [name for name in value.index if name != aware and family(name) == family(aware)]
    if aware in value.index and rivals:
        others = high.loc[rivals, "synergy"]
        chance = 1 / linear.loc[linear["task"] == "synergy", "classes"].iloc[0]
        synergy_low = low.loc[aware, "synergy"]
        listed = ", ".join(f"{name} {value.loc[name, 'synergy']:.2f}" for name in value.index)
        findings[HIGHEST_ON_NICHES] = if_holds(
            bool(synergy_low > max(chance, others.max())),
            f"synergy, balanced accuracy of a linear probe: {listed} (chance {chance:.2f})",
        )
    return findings


def markdown(
    table: pd.DataFrame, stars: tuple[int, int, float], claims: ClaimsConfig, power: float
) -> str:
    """Return the verdicts in Markdown: a table of claims, and each verdict in a sentence.

    Titles of simulated data sets end in "(simulated: ROLE)". What the words mean, how many stars
    chance gives, and remarks on data sets follow the table.

    Parameters
    ----------
    table
        The verdicts, as `verdicts` returns them.
    stars
        Significant gains in the SIS tables, families of tests, and significant gains expected by
        chance, as `cell_synergy.scoring.tables.chance_stars` returns them.
    claims
        Sizes of gains that decide.
    power
        Power of the detection limits.
    """
    tasks, whole = table[table["task"] != WHOLE], table[table["task"] == WHOLE]
    cells: dict[tuple[str, ...], str] = {
        (str(row.claim), str(row.dataset)): f"{row.verdict}{_counted(tasks, row)}"
        for row in whole.itertuples()
    }
    lines = _grid(table, ["claim"], [(claim,) for claim in table["claim"].unique()], cells)
    lines += ["", *_LEGEND.format(power=power, relevant=claims.relevant).splitlines()]
    significant, families, chance = stars
    lines += ["", *_STARS.format(significant, families, chance).splitlines()]
    lines += [f"\n{name}: {remark}" for name, remark in remarks_by_dataset(table).items()]
    lines += ["", *_CAPTION.splitlines()]
    for claim, rows in whole.groupby("claim", sort=False):
        lines += ["", f"**{claim}**", ""]
        lines += [f"- {_sentence(tasks, row)}" for row in rows.itertuples()]
    return "\n".join(lines) + "\n"


def _grid(
    table: pd.DataFrame,
    heads: list[str],
    keys: Sequence[tuple[str, ...]],
    cells: Mapping[tuple[str, ...], str],
) -> list[str]:
    """Return the lines of a Markdown table with a column per data set.

    Parameters
    ----------
    table
        The verdicts, which name the data sets.
    heads, keys
        Titles of the first columns, and their values in each row.
    cells
        Text by the values of the first columns and data set; others are empty.
    """
    names = table.drop_duplicates("dataset")
    titles = [_title(row) for row in names.itertuples()]
    rows = [[*heads, *titles]]
    for key in keys:
        texts = [cells.get((*key, dataset), "") for dataset in names["dataset"]]
        rows.append([*(part.replace("_", " ") for part in key), *texts])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]


def _counted(tasks: pd.DataFrame, row: Any) -> str:  # noqa: ANN401 - a row of `itertuples`
    """Return the number of tasks by outcome, ": 1 found, 2 missed", of gains before all others."""
    of_claim = tasks[(tasks["claim"] == row.claim) & (tasks["dataset"] == row.dataset)]
    outcomes = list(of_claim.loc[of_claim["quantity"] != CERTIFIED, "verdict"])
    listed = [f"{outcomes.count(name)} {name}" for name in OUTCOMES if name in outcomes]
    return f": {', '.join(listed)}" if listed else ""


def _title(row: Any) -> str:  # noqa: ANN401 - a row of `itertuples`
    """Return the name of a data set, and whether it is simulated and what for."""
    role = f": {row.role}" if row.role else ""
    return f"{row.dataset} (simulated{role})" if row.simulated else str(row.dataset)


def _sentence(tasks: pd.DataFrame, row: Any) -> str:  # noqa: ANN401 - a row of `itertuples`
    """Return the verdict on a claim and data set in one sentence, with its limits."""
    of_claim = tasks[(tasks["claim"] == row.claim) & (tasks["dataset"] == row.dataset)]
    listed = [_numbers(each) for each in of_claim.itertuples()] or [str(row.evidence)]
    return f"{_title(row)}: {row.verdict}: {'; '.join(listed)}."


def _numbers(row: Any) -> str:  # noqa: ANN401 - a row of `itertuples`
    """Return outcome, value, truth and detection limit of one task in words."""
    task = str(row.task).replace("_", " ")
    given = {"true": row.truth, "limit": row.limit}
    numbers = [f"{name} {value:.3f}" for name, value in given.items() if not np.isnan(value)]
    brackets = f" ({', '.join(numbers)})" if numbers else ""
    _, beside, others = str(row.evidence).partition(BESIDE)
    value = f"{row.quantity} of {row.method} {row.value:.3f}{brackets}"
    return f"{task} {row.verdict}, {value}{beside}{others}"


def _accuracies(value: pd.DataFrame, name: str) -> str:
    """Return the balanced accuracies of one method in words."""
    method = value.loc[name]
    return (
        f"{name}: balanced accuracy {method['redundancy']:.2f} of what is redundant, "
        f"{method['unique_image']:.2f} and {method['unique_expression']:.2f} of what is unique"
    )
