"""The paper's claims, and the rule that decides each of them on one data set.

A rule is a function of the study's tables that returns a `Finding`: the verdict (one of
`evidence.VERDICTS`), the evidence in words, and the outcome of every task that the claim is about.
Claims are about the paper's ten methods; one is about methods with products, which the paper does
not have. Rules decide by 95 % intervals over donors and by one-sided p values that are corrected
within families of methods, and judge by the truth, where it is known, and by the detection limit of
the study (`cell_synergy.studies.limits`). A rule tests a claim only where the claim could have come
out either way:

- where nothing is to be found, "not found" is right, and no evidence against a gain;
- where the study could not have found the true gain, nothing is tested;
- without known truth, "not found" counts if a gain of a relevant size would have been found.

Gains are bits as a share of the label entropy, or R2, over both experts; they are not synergy.
"""

from collections.abc import Callable, Mapping

from cell_synergy.studies.claims.evidence import ClaimsConfig, Finding, Tables
from cell_synergy.studies.claims.gain_rules import (
    ceiling,
    linear_readers,
    local,
    niches,
    products,
)
from cell_synergy.studies.claims.rank_rules import efficiency, highest, highest_on_niches
from cell_synergy.studies.claims.share_rules import captured, redundancy

COLLAPSE = "alignment keeps what both modalities show more than the rest"
HIGHEST_ON_NICHES = "CoMM has the highest SIS on niches"
LOCAL = "local tasks are served by one modality"
NICHES = "CoMM gains on complex niches"
CAPTURED = "SimCLR captures redundancy"
RULES: Mapping[str, Callable[[Tables, ClaimsConfig], Finding]] = {
    COLLAPSE: redundancy,
    "alignment keeps redundancy only, task by task": ceiling,
    "alignment cannot show synergy to a linear reader": linear_readers,
    "alignment cannot show synergy to a reader with products of the two sides": products,
    LOCAL: local,
    NICHES: niches,
    "fine-tuning one expert is the most sample-efficient": efficiency,
    HIGHEST_ON_NICHES: highest_on_niches,
    "CoMM has the highest SIS over all tasks": highest,
    CAPTURED: captured,
}
"""The rule that decides each of the paper's claims; the claim on the highest SIS has two."""
