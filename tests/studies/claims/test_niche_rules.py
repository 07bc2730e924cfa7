"""Niches: gains with and without synergy, and readers with and without products."""

import pytest

from cell_synergy.studies.claims.evidence import NOT_SUPPORTED, PARTLY, SUPPORTED
from cell_synergy.studies.claims.gain_rules import (
    linear_readers,
    niches,
    products,
)
from cell_synergy.studies.claims.outcomes import (
    CERTIFIED,
    FALSE_ALARM,
    FOUND,
    MISSED,
    NOT_FOUND,
    NOT_TESTED,
    RIGHTLY_NOT_FOUND,
)
from cell_synergy.studies.claims.rank_rules import highest, highest_on_niches

from .conftest import (
    PLAIN,
    TRUE,
    information,
    made,
    scores,
    sis,
    truth,
)

NARROW = 0.01  # half of an interval, so that the detection limit is about .02


def outcomes(finding):
    """Return the outcomes of gains and leads by task."""
    return {o.task: o.outcome for o in finding.outcomes if o.quantity != CERTIFIED}


@pytest.mark.parametrize(("half", "verdict"), [(NARROW, NOT_SUPPORTED), (0.3, NOT_TESTED)])
def test_without_truth_a_small_study_does_not_refute_a_gain(half, verdict, claims):
    finding = niches(made(sis=sis({}, half=half), truth=truth()), claims)
    assert set(outcomes(finding).values()) == {NOT_FOUND}
    assert finding.verdict == verdict


def test_an_xor_is_no_evidence_against_a_method_that_cannot_show_it(claims):
    finding = niches(made(sis=sis({("niche", "comm"): 0.01}, half=NARROW)), claims)
    assert outcomes(finding) == {"niche": FOUND, "xor": RIGHTLY_NOT_FOUND}
    assert finding.verdict == SUPPORTED
    alone = sis({}, half=NARROW)
    alone = alone[alone["task"] == "xor"]
    assert niches(made(sis=alone), claims).verdict == NOT_TESTED
    assert highest_on_niches(made(sis=alone), claims).verdict == NOT_TESTED


def test_a_twin_whose_negative_control_is_one_modality_s_state_has_no_xor(claims):
    gains = truth(**TRUE)
    gains.loc[gains["task"] == "xor", "unique_image"] = 0.5
    finding = niches(made(sis=sis({}, half=NARROW), truth=gains), claims)
    assert outcomes(finding)["xor"] == MISSED


@pytest.mark.parametrize("rule", [niches, highest_on_niches])
def test_the_twin_without_synergy_is_no_evidence_against_a_gain(rule, claims):
    null = truth(**dict.fromkeys(TRUE, 0.0))
    finding = rule(made(sis=sis({}, half=NARROW), truth=null), claims)
    assert set(outcomes(finding).values()) == {RIGHTLY_NOT_FOUND}
    assert finding.verdict == NOT_TESTED
    alarm = niches(made(truth=null), claims)
    assert outcomes(alarm)["niche"] == FALSE_ALARM
    assert alarm.verdict == NOT_SUPPORTED


def test_a_gain_below_the_detection_limit_is_not_tested(claims):
    finding = niches(made(sis=sis({}, half=0.3)), claims)
    assert outcomes(finding)["niche"] == NOT_TESTED
    assert finding.verdict == NOT_TESTED


def test_evidence_on_niches_names_its_numbers(claims):
    finding = niches(made(), claims)
    assert "niche: found: +0.070 (-0.030 to +0.170), corrected p 0.010; true gain 0.400, limit 0." \
        in finding.evidence  # fmt: skip
    unseen = "true gain 0.400 of an XOR that none of the paper's methods makes linear"
    assert unseen in finding.evidence
    assert "niche: found: certified 0.100 bits (0.050 to 0.300); true S 0.800" in finding.evidence
    assert "gains in 1 of 2 tested targets and bands (by chance up to 0.1)" in finding.evidence


def test_certified_synergy_where_there_is_none_is_a_false_alarm_that_does_not_decide(claims):
    gains = truth(**TRUE)
    gains.loc[gains["task"] == "niche", "synergy"] = 0.0
    finding = niches(made(truth=gains), claims)
    certified = {o.task: o.outcome for o in finding.outcomes if o.quantity == CERTIFIED}
    assert certified == {"niche": FALSE_ALARM, "xor": FOUND}
    assert outcomes(finding)["niche"] == FOUND  # of unique parts, which is no synergy
    assert finding.verdict == NOT_TESTED
    wide = niches(made(information=information(low=0.0)), claims)
    uncertain = {o.outcome for o in wide.outcomes if o.quantity == CERTIFIED}
    assert uncertain == {MISSED, RIGHTLY_NOT_FOUND}


def test_a_niche_that_is_found_and_one_that_is_missed_support_in_part(claims):
    whole = claims.model_copy(update={"negative_controls": []})
    finding = niches(made(sis=sis({("niche", "comm"): 0.01}, half=NARROW)), whole)
    assert outcomes(finding) == {"niche": FOUND, "xor": MISSED}
    assert finding.verdict == PARTLY


def test_where_no_niche_has_synergy_none_is_rightly_found(claims):
    unique = truth(**TRUE).assign(synergy=0.0)  # a gain of two unique parts
    tables = {"truth": unique, "information": information(low=0.0)}
    finding = niches(made(**tables), claims)
    assert outcomes(finding)["niche"] == FOUND
    assert finding.verdict == RIGHTLY_NOT_FOUND
    certified = {o.outcome for o in finding.outcomes if o.quantity == CERTIFIED}
    assert certified == {RIGHTLY_NOT_FOUND}
    assert niches(made(truth=unique), claims).verdict == NOT_TESTED  # certified falsely


def test_readers_with_and_without_products_stand_beside_each_other(claims):
    tables = made(sis=sis({("niche", "bilinear"): 0.01, ("xor", "bilinear"): 0.01}, half=NARROW))
    linear, product = linear_readers(tables, claims), products(tables, claims)
    assert (linear.verdict, product.verdict) == (SUPPORTED, NOT_SUPPORTED)
    assert outcomes(linear) == {"niche": MISSED, "xor": MISSED}  # an XOR tests readers as well
    assert outcomes(product) == {"niche": FOUND, "xor": FOUND}
    assert {o.method for o in product.outcomes} == {"bilinear"}


def test_a_gain_of_two_unique_parts_is_no_synergy_shown(claims):
    unique = truth(**TRUE).assign(synergy=0.0)
    finding = products(made(truth=unique, sis=sis({("niche", "bilinear"): 0.01})), claims)
    assert outcomes(finding)["niche"] == NOT_TESTED
    assert finding.verdict == NOT_TESTED


def test_a_study_without_methods_with_products_says_so(claims):
    few = made(methods=frozenset(["comm", "cca"]))
    assert products(few, claims).evidence == "no method 'bilinear'"


def test_the_highest_is_one_of_the_papers_and_others_stand_beside_it(claims):
    means = PLAIN | {"bilinear": 0.9}
    for rule in (highest, highest_on_niches):
        finding = rule(made(scores=scores(means)), claims)
        assert finding.verdict == SUPPORTED
        assert "; beyond the paper bilinear, +0.1" in finding.evidence
        assert "beyond" not in rule(made(), claims).evidence
