"""Tasks that have no answer on the folds of a split."""

import numpy as np
import pandas as pd

from tests.raw.agreement.conftest import GENES


def relabel(one, labels):
    one.counts.obs["region"] = labels
    return one


def test_labels_of_one_donor_alone_are_refused_where_donors_are_left_out(refused, three):
    relabel(three[1], None)
    (told,) = refused(three, limits={"class_donors": 1})
    assert told.startswith("lab: task 'region': in fold A no two training units have a label")
    assert "labelled are units of A" in told


def test_no_label_at_all_among_those_who_are_scored_is_refused(refused, three, section):
    sections = [*three, section("T1", "T", GENES)]
    relabel(sections[3], None)
    roles = {"train": "A, B", "test": "T", "reference": "R"}
    (told,) = refused(sections, split="holdout", roles=roles)
    assert "no unit of those who are scored, T, has a label (labelled are units of A, B)" in told


def test_donors_without_a_label_are_named(build, three, section, capsys):
    sections = [*three, relabel(section("C1", "C", GENES), None)]
    build(sections, roles={"study": "A, B, C", "reference": "R"})
    assert "lab: task 'region': no observation of C has a label" in capsys.readouterr().out


def test_a_class_that_no_training_donor_has_is_refused(refused, section):
    sections = [section(f"{d}1", d, GENES) for d in "ABSTR"]
    for one in sections[2:4]:
        relabel(one, ["core", "rim", "edge"] * 8)
    roles = {"train": "A, B", "test": "S, T", "reference": "R"}
    (told,) = refused(sections, split="holdout", roles=roles)
    assert told == (
        "lab: task 'region': class 'edge' is in no donor who is trained on, only in S, T; give "
        "one of them a training role, or put the class into `exclude`"
    )


def test_a_class_of_training_donors_alone_is_no_contradiction(build, section):
    sections = [section(f"{d}1", d, GENES) for d in "ABTR"]
    for one in sections[:2]:
        relabel(one, ["core", "rim", "edge"] * 8)
    roles = {"train": "A, B", "test": "T", "reference": "R"}
    study, _ = build(sections, split="holdout", roles=roles)
    assert study.obs["region"].cat.categories.tolist() == ["core", "edge", "rim"]


def test_training_donors_of_one_class_are_refused(refused, section):
    sections = [section(f"{d}1", d, GENES) for d in "ASTR"]
    relabel(sections[0], "core")
    roles = {"train": "A", "test": "S, T", "reference": "R"}
    told = refused(sections, split="holdout", roles=roles)
    assert any("training donors of fold holdout have one class only" in one for one in told)
    assert any("class 'rim' is in no donor who is trained on" in one for one in told)


def test_a_composition_that_no_scored_donor_has_is_refused(refused, three):
    for one, value in zip(three, (np.nan, np.nan, 0.5), strict=True):
        one.counts.obsm["cell_type_ratio"] = pd.DataFrame(
            np.full((24, 2), value), one.counts.obs_names, ["p", "q"]
        )
    (told,) = refused(three, tasks={"mix": {"kind": "composition"}})
    assert told == "lab: task 'mix': no unit has a label; drop the task, or give labels"
