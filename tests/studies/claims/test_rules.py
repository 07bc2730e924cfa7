"""Each rule says supported, not supported and not tested when it should, and can say each."""

import numpy as np
import pytest

from cell_synergy.studies.claims.evidence import NOT_SUPPORTED, SUPPORTED
from cell_synergy.studies.claims.gain_rules import (
    ceiling,
    linear_readers,
    local,
    niches,
    products,
)
from cell_synergy.studies.claims.outcomes import (
    CERTIFIED,
    FALSE_ALARM,
    MISSED,
    NOT_FOUND,
    NOT_TESTED,
    RIGHTLY_NOT_FOUND,
)
from cell_synergy.studies.claims.rank_rules import efficiency, highest, highest_on_niches
from cell_synergy.studies.claims.rules import RULES
from cell_synergy.studies.claims.share_rules import captured, redundancy

from .conftest import (
    ARMS,
    DONORS,
    PLAIN,
    SHARES,
    TRUE,
    kept,
    made,
    over_ceiling,
    scaling,
    scores,
    sis,
    spectrum,
    truth,
)

NARROW = 0.01  # half of an interval, so that the detection limit is about .02


def outcomes(finding):
    """Return the outcomes of gains and leads by task."""
    return {o.task: o.outcome for o in finding.outcomes if o.quantity != CERTIFIED}


# The ceiling needs content above it, the truth's .15 unique to the image.
SUPPORTING = {
    ceiling: {"spectrum": spectrum(over_ceiling({}, half=0.02))},
    linear_readers: {"sis": sis({}, half=NARROW)},
    products: {"sis": sis({}, half=NARROW)},
}
AGAINST = {
    redundancy: {"spectrum": spectrum(kept(SHARES | {"cca": (0.9, 0.85, 0.3)}))},
    ceiling: {"spectrum": spectrum(over_ceiling({"cca": 0.01}))},
    local: {
        "sis": sis({("region", "concat"): 0.01}), "truth": truth(**TRUE | {"region": 0.2}),
    },
    linear_readers: {"sis": sis({("niche", "cca"): 0.01})},
    products: {"sis": sis({("niche", "bilinear"): 0.01})},
    niches: {"sis": sis({}, half=NARROW)},
    efficiency: {"scaling": scaling(ARMS | {"concat": 0.9})},
    highest_on_niches: {"scores": scores(PLAIN | {"concat": 0.9})},
    highest: {"scores": scores(PLAIN | {"concat": 0.9})},
    captured: {"spectrum": spectrum(kept(SHARES | {"shuffled": (0.78, 0.3, 0.2)}))},
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES.values())
def test_evidence_for_a_claim_supports_it(rule, claims):
    finding = rule(made(**SUPPORTING.get(rule, {})), claims)
    assert finding.verdict == SUPPORTED
    assert any(letter.isdigit() for letter in finding.evidence)


@pytest.mark.parametrize("rule", RULES.values())
def test_evidence_against_a_claim_does_not(rule, claims):
    assert rule(made(**AGAINST[rule]), claims).verdict == NOT_SUPPORTED


RANKED = efficiency, highest, highest_on_niches


@pytest.mark.parametrize("rule", RANKED)
def test_four_donors_decide_nothing(rule, claims):
    few = {"scores": scores(PLAIN, DONORS[:4]), "scaling": scaling(ARMS, DONORS[:4])}
    finding = rule(made(**few), claims)
    assert (finding.verdict, finding.evidence) == (NOT_TESTED, "4 test donors, 5 needed")


@pytest.mark.parametrize("rule", [redundancy, ceiling, captured])
def test_a_spectrum_without_intervals_decides_nothing(rule, claims):
    table = spectrum(kept(SHARES), over_ceiling({})).assign(low=np.nan, high=np.nan)
    assert rule(made(spectrum=table), claims).verdict == NOT_TESTED


@pytest.mark.parametrize("rule", [local, niches, linear_readers, products])
def test_sis_without_intervals_decides_nothing(rule, claims):
    table = sis({}).assign(gain_low=np.nan, gain_high=np.nan, p_corrected=np.nan)
    assert rule(made(sis=table), claims).verdict == NOT_TESTED


@pytest.mark.parametrize("rule", [local, niches, linear_readers, products, highest_on_niches])
def test_a_data_set_without_such_tasks_says_so(rule, claims):
    finding = rule(made(sis=sis({}).assign(task="layer")), claims)
    assert finding.evidence.startswith("the data set has no")


@pytest.mark.parametrize("rule", [niches, highest, highest_on_niches])
def test_a_study_without_the_method_says_so(rule, claims):
    finding = rule(made(methods=frozenset(["concat"])), claims)
    assert (finding.verdict, finding.evidence) == (NOT_TESTED, "no method 'comm'")


def test_without_a_direction_above_the_edge_nothing_is_shared_to_be_kept(claims):
    table = spectrum(kept(SHARES))
    finding = redundancy(made(spectrum=table[table["quantity"] != "shared"]), claims)
    assert finding.verdict == NOT_TESTED
    assert finding.evidence == "no canonical correlation is above the edge of noise"


@pytest.mark.parametrize("control", ["random", "shuffled"])
def test_keeping_no_more_than_what_aligns_nothing_is_no_alignment(control, claims):
    shares = SHARES | {control: (0.85, 0.3, 0.2)}
    assert redundancy(made(spectrum=spectrum(kept(shares))), claims).verdict == NOT_SUPPORTED


def test_controls_and_experts_are_no_fusion(claims):
    table = sis({})
    table.loc[table["method"].isin(["shuffled", "comm_image"]), "p_corrected"] = 0.001
    assert local(made(sis=table), claims).verdict == SUPPORTED
    means = PLAIN | {"comm_image": 0.9}
    assert "of 3 others" in highest(made(scores=scores(means)), claims).evidence


def test_a_false_alarm_on_a_local_task_counts_on_neither_side(claims):
    table = sis({("region", "concat"): 0.01})
    finding = local(made(sis=table), claims)
    assert outcomes(finding) == {"cell_type": RIGHTLY_NOT_FOUND, "region": FALSE_ALARM}
    assert finding.verdict == SUPPORTED
    assert "1 false alarm" in finding.evidence


def test_a_gain_that_the_truth_holds_and_no_method_shows_is_against_one_modality(claims):
    tables = {"sis": sis({}, half=NARROW), "truth": truth(**TRUE | {"region": 0.2})}
    finding = local(made(**tables), claims)
    assert outcomes(finding)["region"] == MISSED
    assert finding.verdict == NOT_SUPPORTED


@pytest.mark.parametrize(("half", "verdict"), [(NARROW, SUPPORTED), (0.3, NOT_TESTED)])
def test_without_truth_a_small_study_does_not_show_that_there_is_no_gain(half, verdict, claims):
    finding = local(made(sis=sis({}, half=half), truth=truth()), claims)
    assert set(outcomes(finding).values()) == {NOT_FOUND}
    assert finding.verdict == verdict


def test_gains_over_the_ceiling_are_shares_of_the_label_entropy(claims):
    finding = ceiling(made(), claims)
    (outcome,) = finding.outcomes
    assert (outcome.value, outcome.low) == pytest.approx((0.05, -0.05))
    assert outcome.truth == pytest.approx(0.15)
    assert finding.evidence.startswith("3 shared directions; ")


def test_where_nothing_is_above_the_ceiling_the_claim_on_it_is_not_tested(claims):
    gains = truth(**TRUE).assign(unique_image=0.0, synergy=0.0)
    finding = ceiling(made(truth=gains), claims)
    assert (finding.verdict, outcomes(finding)) == (NOT_TESTED, {"cell_type": RIGHTLY_NOT_FOUND})


def test_the_highest_must_gain_over_the_experts_as_well(claims):
    finding = highest_on_niches(made(sis=sis({})), claims)
    assert outcomes(finding)["niche"] == NOT_FOUND
    assert highest_on_niches(made(), claims).verdict == SUPPORTED


@pytest.mark.parametrize("rule", [highest, highest_on_niches])
def test_a_lead_that_no_small_study_finds_is_not_tested(rule, claims):
    table = scores(PLAIN | {"comm": 0.5})
    table["value"] += np.random.default_rng(1).normal(0, 2, len(table))
    assert rule(made(scores=table), claims).verdict == NOT_TESTED


@pytest.mark.parametrize("rule", [highest, highest_on_niches, efficiency])
def test_a_method_that_is_significantly_better_refutes_the_highest(rule, claims):
    strict = claims.model_copy(update={"relevant": 0.0})  # no limit is small enough to count
    worse = {"scores": scores(PLAIN | {"concat": 0.9}), "scaling": scaling(ARMS | {"concat": 0.9})}
    finding = rule(made(**worse), strict)
    assert finding.verdict == NOT_SUPPORTED
    assert "below 1 of" in finding.evidence
    equal = {"scores": scores(PLAIN | {"comm": 0.5}), "scaling": scaling(ARMS | {"comm": 0.7})}
    assert rule(made(**equal), strict).verdict == NOT_TESTED


def test_a_lead_on_a_task_that_no_probe_reads_has_the_limit_of_other_tasks(claims):
    strict = claims.model_copy(update={"relevant": 1e-4})
    table = scores(PLAIN | {"comm": 0.5})
    silent = table["task"] == "niche"
    table.loc[silent, "value"] = 0.5 + np.random.default_rng(1).normal(0, 1e-6, silent.sum())
    finding = highest_on_niches(made(scores=table), strict)
    limits = {o.task: o.limit for o in finding.outcomes}
    assert outcomes(finding)["niche"] == NOT_FOUND
    assert limits["niche"] == pytest.approx(limits["xor"], rel=0.5)
    assert finding.verdict == NOT_TESTED


@pytest.mark.parametrize(
    ("rule", "silent", "other"), [(niches, "niche", "xor"), (local, "region", "cell_type")]
)
def test_a_gain_on_a_task_that_no_probe_reads_has_the_limit_of_other_tasks(
    rule, silent, other, claims
):
    table = sis({})
    table.loc[table["task"] == silent, ["gain_low", "gain_high"]] = 0.0, 1e-6
    finding = rule(made(sis=table), claims)
    limits = {o.task: o.limit for o in finding.outcomes if o.quantity != CERTIFIED}
    assert limits[silent] == pytest.approx(limits[other])


def test_a_ceiling_on_a_task_that_no_probe_reads_has_the_limit_of_other_tasks(claims):
    wide = over_ceiling({})
    silent = wide.assign(task="niche", low=0.1 - 1e-6, high=0.1 + 1e-6)
    finding = ceiling(made(spectrum=spectrum(wide, wide.assign(task="xor"), silent)), claims)
    limits = {o.task: o.limit for o in finding.outcomes}
    assert limits["niche"] == pytest.approx(limits["xor"])
