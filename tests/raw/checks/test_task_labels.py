"""Tasks that have no answer on the folds of a split."""

import numpy as np
import pandas as pd

from tests.raw.checks.conftest import GENES


def relabel(one, labels):
    one.adata.obs["region"] = labels
    return one


def test_labels_of_one_donor_alone_are_refused_where_donors_are_left_out(refused, three):
    relabel(three[1], None)
    (messages,) = refused(three, limits={"class_donors": 1})
    assert messages.startswith(
        "lab: task 'region': in fold A fewer than 2 training observations have a label"
    )
    assert "labelled are observations of A" in messages


def test_no_label_at_all_among_those_who_are_scored_is_refused(refused, three, section):
    sections = [*three, section("T1", "T", GENES)]
    relabel(sections[3], None)
    roles = {"train": ["A", "B"], "test": ["T"], "reference": ["R"]}
    (messages,) = refused(sections, split="holdout", roles=roles)
    assert (
        "no observation of the scored donors, T, has a label (labelled are observations of A, B)"
        in messages
    )


def test_donors_without_a_label_are_named(build, three, section, capsys):
    sections = [*three, relabel(section("C1", "C", GENES), None)]
    build(sections, roles={"study": ["A", "B", "C"], "reference": ["R"]})
    assert "lab: task 'region': no observation of C has a label" in capsys.readouterr().out


def test_a_class_that_no_training_donor_has_is_refused(refused, section):
    sections = [section(f"{d}1", d, GENES) for d in "ABSTR"]
    for one in sections[2:4]:
        relabel(one, ["core", "rim", "edge"] * 8)
    roles = {"train": ["A", "B"], "test": ["S", "T"], "reference": ["R"]}
    (messages,) = refused(sections, split="holdout", roles=roles)
    assert messages == (
        "lab: task 'region': class 'edge' is in no training donor, only in S, T; give one "
        "of them a training role, or put the class into `exclude`"
    )


def test_a_class_of_training_donors_alone_is_no_contradiction(build, section):
    sections = [section(f"{d}1", d, GENES) for d in "ABTR"]
    for one in sections[:2]:
        relabel(one, ["core", "rim", "edge"] * 8)
    roles = {"train": ["A", "B"], "test": ["T"], "reference": ["R"]}
    study, _ = build(sections, split="holdout", roles=roles)
    assert study.obs["region"].cat.categories.tolist() == ["core", "edge", "rim"]


def test_training_donors_of_one_class_are_refused(refused, section):
    sections = [section(f"{d}1", d, GENES) for d in "ASTR"]
    relabel(sections[0], "core")
    roles = {"train": ["A"], "test": ["S", "T"], "reference": ["R"]}
    messages = refused(sections, split="holdout", roles=roles)
    assert any("training donors of fold holdout have one class only" in one for one in messages)
    assert any("class 'rim' is in no training donor" in one for one in messages)


def test_a_composition_that_no_scored_donor_has_is_refused(refused, three):
    for one, value in zip(three, (np.nan, np.nan, 0.5), strict=True):
        one.adata.obsm["cell_type_ratio"] = pd.DataFrame(
            np.full((24, 2), value), one.adata.obs_names, ["p", "q"]
        )
    (messages,) = refused(three, tasks={"mix": {"kind": "composition"}})
    assert messages == "lab: task 'mix': no observation has a label; drop the task, or give labels"
