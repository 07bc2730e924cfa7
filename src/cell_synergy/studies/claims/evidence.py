"""Inputs of the rules for claims: the methods and tasks concerned, and the study's tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from cell_synergy.core.config import Config
from cell_synergy.core.names import DONOR
from cell_synergy.data.naming import Names
from cell_synergy.scoring.inference import MIN_DONORS
from cell_synergy.scoring.tables import ALL_FOLDS, headline_rows

SUPPORTED, NOT_SUPPORTED, NOT_TESTABLE = "supported", "not supported", "not testable here"
_ALL_SEEDS = "all"  # rows of the table of the stage `spectrum` that are means over seeds


class ClaimsConfig(Config):
    """Methods and tasks that the claims are about.

    Attributes
    ----------
    aligned
        Methods whose objective aligns the two modalities.
    synergy_aware, redundant
        The method that the paper calls synergy-aware (CoMM), and the method that captures
        redundancy according to the paper (SimCLR).
    local, niches
        Tasks on the observation itself, and tasks on the organisation of its surroundings.
    """

    aligned: Names
    synergy_aware: str
    redundant: str
    local: Names
    niches: Names


@dataclass(frozen=True)
class Tables:
    """Result tables of one data set.

    Attributes
    ----------
    sis, information, spectrum, distance
        Tables of the SIS, of the information decomposition, of the spectral ceiling, and of the SIS
        over distance.
    scores
        Tidy scores of the stage `evaluate`.
    scaling
        Table that `cell_synergy.studies.scaling.curves.read` returns.
    methods
        Names of all methods of the study.
    """

    sis: pd.DataFrame
    information: pd.DataFrame
    spectrum: pd.DataFrame
    distance: pd.DataFrame
    scores: pd.DataFrame
    scaling: pd.DataFrame
    methods: frozenset[str]

    def aligned(self, claims: ClaimsConfig) -> list[str]:
        """Return the aligned methods that are in the study."""
        return [name for name in claims.aligned if name in self.methods]

    def headline_sis(self, tasks: Sequence[str]) -> pd.DataFrame:
        """Return the rows of `sis` of some tasks: over all folds, linear probes, macro F1 or R2."""
        rows = headline_rows(self.sis, fold=ALL_FOLDS)
        return rows[rows["task"].isin(tasks)]

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
            return too_few(self)[1]
        return {
            column: rows.pivot_table(index="method", columns="quantity", values=column)
            for column in ("value", "low", "high")
        }


Finding = tuple[str, str]
"""A verdict (`supported`, `not supported`, `not testable here`) and its evidence in words."""


def no_method(names: Iterable[str]) -> Finding:
    """Return the finding for a claim about methods that are not in the study."""
    return NOT_TESTABLE, f"not tested: no method {' or '.join(map(repr, names))}"


def too_few(tables: Tables) -> Finding:
    """Return the finding for a data set with too few test donors."""
    scored = tables.scores.loc[tables.scores["task"] != DONOR, "donor"].unique()
    return NOT_TESTABLE, f"{len(scored)} test donors, {MIN_DONORS} needed"


def if_holds(holds: bool, evidence: str) -> Finding:
    """Return the finding "supported" or "not supported", with the evidence.

    Parameters
    ----------
    holds
        Whether the claim is supported.
    evidence
        The evidence in words and numbers.
    """
    return SUPPORTED if holds else NOT_SUPPORTED, evidence
