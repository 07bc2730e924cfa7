"""The claim on sample efficiency: tested where all arms read one expression expert."""

import pytest

from cell_synergy.studies.claims.evidence import NOT_SUPPORTED, SUPPORTED
from cell_synergy.studies.claims.outcomes import NOT_TESTED
from cell_synergy.studies.claims.rank_rules import efficiency
from tests.studies.claims.conftest import ARMS, made, scaling


@pytest.mark.parametrize("arm", ["concat", "expression", "finetuned"])
@pytest.mark.parametrize("means", [ARMS, ARMS | {"concat": 0.9}])
def test_arms_on_different_experts_do_not_decide_which_is_efficient(claims, arm, means):
    table = scaling(means)
    same = efficiency(made(scaling=table), claims)
    assert same.verdict == (SUPPORTED if means == ARMS else NOT_SUPPORTED)
    table.loc[table["method"] == arm, "expression_expert"] = "pca"
    finding = efficiency(made(scaling=table), claims)
    assert (finding.verdict, finding.outcomes) == (NOT_TESTED, ())
    assert finding.evidence == "arms read different experts: pca, small"


@pytest.mark.parametrize("better", ["image", "expression"])
def test_a_frozen_expert_that_is_better_refutes_efficiency(claims, better):
    finding = efficiency(made(scaling=scaling(ARMS | {better: 0.9})), claims)
    assert finding.verdict == NOT_SUPPORTED
    assert f"to {better}" in finding.evidence


def test_without_a_scaling_study_efficiency_is_not_tested(claims):
    finding = efficiency(made(scaling=scaling(ARMS).iloc[:0]), claims)
    assert (finding.verdict, finding.outcomes) == (NOT_TESTED, ())
    assert finding.evidence.startswith("no scaling study of this data set (scaling.datasets")


def test_the_fine_tuned_expert_may_be_missing(claims):
    table = scaling({name: value for name, value in ARMS.items() if name != "finetuned"})
    assert efficiency(made(scaling=table), claims).verdict == NOT_TESTED


def test_labels_that_do_not_shrink_and_macro_f1_are_other_curves(claims):
    evidence = efficiency(made(), claims).evidence
    assert evidence.startswith(
        "all arms read small, mean over 10 to 100 % of the pairs: 1 found; cell type: found: "
    )
    assert "found: place 1 of 6; +0.100 (" in evidence  # .7 and .5 bits of 2
