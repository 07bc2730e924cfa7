"""Inputs of the rules for claims: the methods and tasks concerned, and the study's tables."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from cell_synergy.core.config import Config
from cell_synergy.core.names import DONOR
from cell_synergy.data.config import Names
from cell_synergy.scoring.inference import MIN_DONORS

SUPPORTED, NOT_SUPPORTED, NOT_TESTABLE = "supported", "not supported", "not testable here"


class ClaimsConfig(Config):
    """Methods and tasks that the claims are about.

    Attributes
    ----------
    aligned
        Methods whose objective aligns the two modalities.
    synergy_aware, redundant
        The method that the paper calls synergy-aware, and the method that captures redundancy
        according to the paper.
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
        Tables of the stages of these names.
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


Finding = tuple[str, str]
"""A verdict and its evidence in words."""


def no_method(names: Iterable[str]) -> Finding:
    """Return the finding for a claim about methods that are not in the study."""
    return NOT_TESTABLE, f"not tested: no method {' or '.join(map(repr, names))}"


def too_few(tables: Tables) -> Finding:
    """Return the finding for a data set with too few test donors."""
    scored = tables.scores.loc[tables.scores["task"] != DONOR, "donor"].unique()
    return NOT_TESTABLE, f"{len(scored)} test donors, {MIN_DONORS} needed"


def if_holds(holds: bool, evidence: str) -> Finding:
    """Return "supported" or "not supported" with the evidence."""
    return SUPPORTED if holds else NOT_SUPPORTED, evidence
