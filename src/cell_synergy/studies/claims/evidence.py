"""Inputs of the rules for claims, the study's tables, and their results: a verdict per data set."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from cell_synergy.core.config import Config
from cell_synergy.core.names import DONOR, LINEAR, MIN_DONORS
from cell_synergy.data.naming import Names
from cell_synergy.scoring.families import NO_FAMILY, PAPER, family
from cell_synergy.scoring.tables import ALL_FOLDS, headline_rows
from cell_synergy.studies.claims.outcomes import (
    NOT_TESTED,
    RIGHTLY_NOT_FOUND,
    Expected,
    Outcome,
)
from cell_synergy.studies.limits import GAIN
from cell_synergy.studies.scaling import WHOLE

SUPPORTED, NOT_SUPPORTED = "supported", "not supported"
PARTLY = "partly supported"
VERDICTS = SUPPORTED, PARTLY, NOT_SUPPORTED, RIGHTLY_NOT_FOUND, NOT_TESTED
_ALL_SEEDS = "all"  # rows of the table of the stage `spectrum` that are means over seeds
_SEEN = "embeddings"  # rows of the truth that are about what the embeddings show of the states


class ClaimsConfig(Config):
    """Methods and tasks that the claims are about, and the sizes of gains that decide them.

    Attributes
    ----------
    aligned
        Methods whose objective aligns the two modalities.
    products
        Methods beyond the paper whose embedding has products of aligned directions of the two
        sides.
    synergy_aware, redundant
        The method that the paper calls synergy-aware (CoMM), and the method that captures
        redundancy according to the paper (SimCLR).
    local, niches
        Tasks on the observation itself, and tasks on the organisation of its surroundings.
    negative_controls
        Tasks of simulated tissue whose label is the XOR of two independent states, which none of
        the paper's methods makes linear: not to find a gain there is right.
    zero
        True gain (share of the label entropy) below which there is nothing to be found.
    relevant
        Gain or lead (share of the label entropy, or R2) that a study must be able to find for its
        "not found" to count where no truth is known, and in rankings.
    """

    aligned: Names
    products: Names
    synergy_aware: str
    redundant: str
    local: Names
    niches: Names
    negative_controls: Names
    zero: Annotated[float, Field(ge=0, le=1)]
    relevant: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Tables:
    """Result tables of one data set.

    Attributes
    ----------
    sis, information, spectrum, distance
        Tables of the SIS, of the information decomposition, of the spectral ceiling, and of the SIS
        over distance.
    truth
        True decompositions of a simulated data set; without rows for real tissue.
    scores
        Tidy scores of the stage `evaluate`.
    limits
        Detection limits, the rows of this data set in the table of `cell_synergy.studies.limits`.
    power
        Power of detection limits.
    scaling
        Table that `cell_synergy.studies.scaling.curves.read` returns.
    methods
        Names of all methods of the study.
    """

    sis: pd.DataFrame
    information: pd.DataFrame
    spectrum: pd.DataFrame
    distance: pd.DataFrame
    truth: pd.DataFrame
    scores: pd.DataFrame
    limits: pd.DataFrame
    power: float
    scaling: pd.DataFrame
    methods: frozenset[str]

    def aligned(self, claims: ClaimsConfig) -> list[str]:
        """Return the aligned methods that are in the study."""
        return [name for name in claims.aligned if name in self.methods]

    def gains(self, tasks: Sequence[str], group: str = PAPER) -> pd.DataFrame:
        """Return the gains of one family of methods over both experts: all folds, linear probes.

        Parameters
        ----------
        tasks
            Names of tasks.
        group
            Family of the methods: `families.PAPER` or `families.BEYOND`.

        Returns
        -------
        :
            Rows of `sis`, with the detection limit in the column `limit`.
        """
        rows = headline_rows(self.sis, fold=ALL_FOLDS)
        rows = rows[rows["task"].isin(tasks) & (rows["method"].map(family) == group)]
        return self.with_limits(rows, GAIN)

    def with_limits(self, rows: pd.DataFrame, quantity: str) -> pd.DataFrame:
        """Return rows with their detection limit, for linear probes, in the column `limit`.

        Parameters
        ----------
        rows
            Rows with the columns `task` and `method`.
        quantity
            Quantity in the table of limits; without a row there the limit is NaN.
        """
        text = dict.fromkeys(["task", "method", "probe"], str)  # also of an empty table
        limits = self.limits[self.limits["quantity"] == quantity].astype(text)
        limits = limits[limits["probe"].str.startswith(LINEAR)]
        return rows.merge(limits[["task", "method", "limit"]], on=["task", "method"], how="left")

    def true(self, task: str, *columns: str) -> float:
        """Return the sum of some columns of the truth of what embeddings show of a task.

        Parameters
        ----------
        task
            Name of the task.
        columns
            Names of columns of `truth`, for example `gain` (share of the label entropy).

        Returns
        -------
        :
            The sum, at least 0; NaN if no truth is known of the task.
        """
        if self.truth.empty:
            return float("nan")
        rows = self.truth[(self.truth["task"] == task) & (self.truth["seen"] == _SEEN)]
        return max(float(rows[list(columns)].sum().sum()), 0.0) if len(rows) else float("nan")

    def without_synergy(self, task: str, claims: ClaimsConfig) -> bool:
        """Return whether it is known that a task has no synergy.

        Parameters
        ----------
        task, claims
            Name of the task; and the share of the label entropy below which synergy is none.
        """
        return self.true(task, "synergy") < claims.zero * self.true(task, "entropy")

    def expected(self, task: str, truth: float, claims: ClaimsConfig) -> Expected:
        """Return what is known about a gain of the paper's methods on a task.

        Parameters
        ----------
        task
            Name of the task.
        truth
            True gain as a share of the label entropy; NaN if none is known.
        claims
            Which tasks are negative controls, and the gain below which nothing is to be found. A
            negative control is one only where all its information is synergy; in a twin without
            synergy its label is a state of one modality.
        """
        single = self.true(task, "redundant", "unique_image", "unique_expression")
        is_xor = single < claims.zero * self.true(task, "entropy")
        return Expected(truth, not (is_xor and task in claims.negative_controls), claims.zero)

    def entropy(self, task: str) -> float:
        """Return the entropy of a task's labels in bits, the mean over donors; NaN of regressions.

        Parameters
        ----------
        task
            Name of the task.
        """
        rows = self.scores[self.scores["task"] == task]
        return float(rows.groupby("donor")["entropy"].mean().mean())

    def fusion_scores(self) -> pd.DataFrame:
        """Return mean scores of linear probes by task and donor (rows) and fusion method (columns).

        Methods are the paper's, and those beyond it. Scores in bits are divided by the entropy of
        the task's labels.
        """
        rows = headline_rows(self.scores)
        rows = rows[(rows["task"] != DONOR) & (rows["method"].map(family) != NO_FAMILY)]
        entropies = rows["task"].map({task: self.entropy(task) for task in rows["task"].unique()})
        share = np.where(rows["metric"] == "bits", rows["value"] / entropies, rows["value"])
        rows = rows.assign(share=share)
        means = rows.groupby(["task", "donor", "method"])["share"].mean().reset_index()
        return means.pivot_table(index=["task", "donor"], columns="method", values="share")

    def cross_validated(self) -> bool:
        """Return whether donors were held out in turn."""
        return len(self.scores["fold"].unique()) > 1

    def shared_directions(self) -> int | None:
        """Return the number of shared directions of all training pairs; None without estimate."""
        rows = self.spectrum[self.spectrum["quantity"] == "directions"]
        rows = rows[(rows["space"] == "axes") & (rows["pairs"] == "own")]
        rows = rows[rows["fraction"] == WHOLE].dropna(subset="value")
        return round(rows["value"].iloc[0]) if len(rows) else None

    def retained_shares(self) -> dict[str, pd.DataFrame] | str:
        """Return how much of the shared and the unique content each method's embedding retains.

        Returns
        -------
        :
            Tables of the explained variance `value` (mean over donors) and of the limits `low` and
            `high` of its 95 % interval: a row per method, and the columns `shared` (canonical
            variates) and `unique_image, unique_expression` (residuals of the embeddings). If there
            are too few pairs, correlations or donors, the reason in words.
        """
        rows = self.spectrum[self.spectrum["seed"] == _ALL_SEEDS]
        if rows.empty:
            return "too few training pairs to say what both modalities show"
        if "shared" not in set(rows["quantity"]):
            return "no canonical correlation is above the edge of noise"
        if rows["low"].isna().all():
            return too_few(self).evidence
        return {
            column: rows.pivot_table(index="method", columns="quantity", values=column)
            for column in ("value", "low", "high")
        }


@dataclass(frozen=True)
class Finding:
    """The verdict on a claim for one data set.

    Attributes
    ----------
    verdict
        One of `VERDICTS`.
    evidence
        The evidence in words and numbers, or the reason why nothing was tested.
    outcomes
        Outcomes of the tasks that the claim is about; none for a claim about embeddings.
    """

    verdict: str
    evidence: str
    outcomes: tuple[Outcome, ...] = ()


def no_method(names: Iterable[str]) -> Finding:
    """Return the finding for a claim about methods that are not in the study."""
    return Finding(NOT_TESTED, f"no method {' or '.join(map(repr, names))}")


def too_few(tables: Tables) -> Finding:
    """Return the finding for a data set with too few test donors."""
    scored = tables.scores.loc[tables.scores["task"] != DONOR, "donor"].unique()
    return Finding(NOT_TESTED, f"{len(scored)} test donors, {MIN_DONORS} needed")


def if_holds(holds: bool, evidence: str) -> Finding:
    """Return the finding "supported" or "not supported", with the evidence.

    Parameters
    ----------
    holds
        Whether the claim is supported.
    evidence
        The evidence in words and numbers.
    """
    return Finding(SUPPORTED if holds else NOT_SUPPORTED, evidence)
