"""What a claim is decided by: the methods and tasks it is about, and the study's tables."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from cell_synergy.core.config import Config
from cell_synergy.core.names import DONOR
from cell_synergy.data.config import Names
from cell_synergy.scoring.inference import LEAST_DONORS

SUPPORTED, NOT_SUPPORTED, NOT_TESTABLE = "supported", "not supported", "not testable here"


class ClaimsConfig(Config):
    """Which methods and tasks the claims are about.

    Attributes
    ----------
    aligned
        Methods whose objective pulls the two modalities together.
    synergy_aware, redundant
        The method that the paper calls synergy-aware, and the one that captures redundancy.
    local, niches
        Tasks of the unit itself, and of organisation around it.
    """

    aligned: Names
    synergy_aware: str
    redundant: str
    local: Names
    niches: Names


@dataclass(frozen=True)
class Tables:
    """What the study found on one data set.

    Attributes
    ----------
    sis, information, spectrum, distance
        Tables of the stages of these names.
    scores
        Tidy scores of the stage `probe`.
    scaling
        What `cell_synergy.studies.scaling.curves.read` returns.
    methods
        Of the study.
    """

    sis: pd.DataFrame
    information: pd.DataFrame
    spectrum: pd.DataFrame
    distance: pd.DataFrame
    scores: pd.DataFrame
    scaling: pd.DataFrame
    methods: frozenset[str]


Finding = tuple[str, str]
"""Verdict and evidence."""


def no_method(names: Iterable[str]) -> Finding:
    """Return that methods are not in the study."""
    listed = [f"{name!r}" for name in names]
    return NOT_TESTABLE, f"not tested: no method {' or '.join(listed)}"


def too_few(tables: Tables) -> Finding:
    """Return that test donors are too few."""
    scored = tables.scores.loc[tables.scores["task"] != DONOR, "donor"].unique()
    return NOT_TESTABLE, f"{len(scored)} test donors, {LEAST_DONORS} needed"


def if_holds(holds: bool, evidence: str) -> Finding:
    """Return the verdict with its evidence."""
    return SUPPORTED if holds else NOT_SUPPORTED, evidence
