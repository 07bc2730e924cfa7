"""Each rule says yes, no and "not testable here" when it should."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.studies.claims import rules
from cell_synergy.studies.claims.evidence import NOT_SUPPORTED, NOT_TESTABLE, SUPPORTED
from cell_synergy.studies.claims.rules import RULES

from .conftest import DONORS, information, kept, made, over_ceiling, scaling, scores, sis

SHARES = {
    "cca": (0.9, 0.2, 0.3), "simclr": (0.8, 0.3, 0.2), "shuffled": (0.5, 0.3, 0.2),
    "random": (0.5, 0.5, 0.1),
}  # fmt: skip
PLAIN = {"concat": 0.5, "cca": 0.5, "simclr": 0.5, "comm": 0.7}
ARMS = {"comm": 0.5, "concat": 0.5, "frozen": 0.4, "finetuned": 0.7}


@pytest.mark.parametrize("claim", RULES)
def test_evidence_for_a_claim_supports_it(claim, claims):
    verdict, evidence = RULES[claim](made(), claims)
    assert verdict == SUPPORTED
    assert any(letter.isdigit() for letter in evidence)


AGAINST = {
    rules.redundancy: {"spectrum": kept(SHARES | {"cca": (0.9, 0.85, 0.3)})},
    rules.ceiling: {"spectrum": over_ceiling({"cca": "above", "simclr": "at"})},
    rules.local: {"sis": sis({("region", "concat"): 0.01})},
    rules.niches: {"sis": sis({})},
    rules.efficiency: {"scaling": scaling(ARMS | {"concat": 0.7})},
    rules.highest: {"scores": scores(PLAIN | {"concat": 0.7})},
    rules.captured: {"spectrum": kept(SHARES | {"shuffled": (0.78, 0.3, 0.2)})},
}
FEW = [
    (rules.efficiency, {"scaling": scaling(ARMS, DONORS[:4])}),
    (rules.highest, {"scores": scores(PLAIN, DONORS[:4])}),
]


@pytest.mark.parametrize("rule", RULES.values())
def test_evidence_against_a_claim_does_not(rule, claims):
    assert rule(made(**AGAINST[rule]), claims)[0] == NOT_SUPPORTED


@pytest.mark.parametrize(("rule", "changed"), FEW)
def test_four_donors_decide_nothing(rule, changed, claims):
    few = {"scores": scores(PLAIN, DONORS[:4])} | changed
    result = rule(made(**few), claims)
    assert result == (NOT_TESTABLE, "4 test donors, 5 needed")


@pytest.mark.parametrize("rule", [rules.redundancy, rules.ceiling, rules.captured])
def test_a_spectrum_without_intervals_decides_nothing(rule, claims):
    spectrum = pd.concat([kept(SHARES), over_ceiling({"cca": "", "simclr": ""})])
    result = rule(made(spectrum=spectrum.assign(low=np.nan, high=np.nan)), claims)
    assert result[0] == NOT_TESTABLE


@pytest.mark.parametrize("rule", [rules.local, rules.niches])
def test_sis_without_intervals_decides_nothing(rule, claims):
    table = sis({}).assign(gain_low=np.nan, gain_high=np.nan, p_corrected=np.nan)
    assert rule(made(sis=table), claims)[0] == NOT_TESTABLE


@pytest.mark.parametrize("rule", [rules.local, rules.niches])
def test_a_data_set_without_such_tasks_says_so(rule, claims):
    table = sis({}).assign(task="layer")
    assert rule(made(sis=table), claims)[1].startswith("the data set has no")


def test_without_a_direction_above_the_edge_nothing_is_shared_to_be_kept(claims):
    spectrum = kept(SHARES)
    assert rules.redundancy(made(spectrum=spectrum[spectrum["quantity"] != "shared"]), claims) == (
        NOT_TESTABLE, "no canonical correlation is above the edge of noise"
    )  # fmt: skip


def test_controls_and_experts_are_no_fusion(claims):
    table = sis({("cell_type", "shuffled"): 0.001})
    table.loc[table["method"] == "shuffled", "p_corrected"] = 0.001
    assert rules.local(made(sis=table), claims)[0] == SUPPORTED
    assert "of 4 others" not in rules.highest(made(), claims)[1]


def test_evidence_on_niches_names_its_numbers(claims):
    _, evidence = rules.niches(made(), claims)
    assert "niche +0.070 (+0.000 to +0.200)" in evidence
    assert "niche: S 0.20 bits, certified 0.10" in evidence
    assert "above the better expert in 1 of 2 targets and bands" in evidence
    bits = information().assign(bits=-0.001)
    assert "S 0.00 bits, certified 0.00" in rules.niches(made(information=bits), claims)[1]


def test_the_fine_tuned_expert_may_be_missing(claims):
    table = scaling({name: value for name, value in ARMS.items() if name != "finetuned"})
    assert rules.efficiency(made(scaling=table), claims)[0] == NOT_TESTABLE


def test_labels_that_do_not_shrink_are_another_curve(claims):
    _, evidence = rules.efficiency(made(), claims)
    assert evidence.startswith("mean over 10 to 100 % of the pairs: +0.2")
