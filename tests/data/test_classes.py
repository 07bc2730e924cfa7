"""Labels of any kind become the same classes, or one sentence."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.data.classes import ClassRule, as_classes
from cell_synergy.data.config import ClassificationTask

RULE = ClassRule(class_units=3, class_donors=2)
GROUPS = pd.Series(list("AAAAAAAABBBBBBBB"))  # two donors of eight units


@pytest.fixture
def made(capsys):
    """Return a function that makes classes of labels, and what was said."""

    def make(labels, exclude=()):
        spec = ClassificationTask(kind="classification", exclude=exclude)
        found = as_classes(pd.Series(labels), GROUPS, spec, RULE, "t: task 'region'")
        return found, capsys.readouterr().out

    return make


NUMBERS = [1, 2, None, 1, 2, 1, 2, 1] * 2
EXPECTED = ["1", "2", None, "1", "2", "1", "2", "1"] * 2


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series(NUMBERS, dtype=float),
        pd.Series(NUMBERS, dtype="Int64"),
        pd.Series(NUMBERS, dtype=float).astype("category"),
        pd.Series(NUMBERS, dtype=float).astype(str),  # "1.0", "nan"
        pd.Series(NUMBERS, dtype="Int64").astype("string"),
        pd.Series([" 1", "2 ", "NA", "1.0", 2, 1, 2.0, b"1"] * 2, dtype=object),
        pd.Series(NUMBERS, dtype="Int64").astype(str),  # "<NA>"
    ],
    ids=["float", "Int64", "category", "text of floats", "string", "mixed", "text of Int64"],
)
def test_cluster_numbers_with_gaps_are_the_same_classes_however_they_were_saved(made, labels):
    found, said = made(labels)
    assert found.astype(object).where(found.notna(), None).to_list() == EXPECTED
    assert "2 of 16 observations are left out (2 without a label)" in said


def test_truth_values_and_words_among_numbers_are_classes(made):
    found, _ = made(pd.Series([True, False, None, True, False, True, False, True] * 2))
    assert found.cat.categories.to_list() == ["False", "True"]
    found, _ = made(pd.Series([1.0, "rim", 1, "rim", "1", "1.0", "rim", "rim"] * 2, dtype=object))
    assert found.value_counts().to_dict() == {"1": 8, "rim": 8}


@pytest.mark.parametrize("exclude", [("2",), ("2.0",), (" 2",), ("2", "gone")])
def test_excluded_classes_match_as_loosely_as_labels(made, exclude):
    labels = [1, 2, 3, 1, 2, 3, 1, 3] * 2
    found, said = made(pd.Series(labels, dtype=float), exclude)
    assert found.cat.categories.to_list() == ["1", "3"]
    assert ("no observation is labelled ['gone']" in said) == ("gone" in exclude)
    assert "4 of 16 observations are left out (0 without a label)" in said


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.tile([0.5, 1.25], 8), "task 'region' holds fractions, not classes .e.g. 0.5.; bin"),
        (["0.5", "1.0"] * 8, "holds fractions, not classes .e.g. 0.5.; bin them first, or spell"),
        (np.tile([1.0, np.inf], 8), "holds fractions, not classes .e.g. inf."),
        (
            range(16),
            "16 different labels in 16 labelled observations are no classes .e.g. '0'.; name a",
        ),
        ([f"cell {i}" for i in range(16)], "16 different labels in 16 labelled observations"),
        (["nan", "", None, "NA"] * 4, "no observation has a label; check the label column"),
        (["a"] * 16, "1 class.es. with 3 observations in 2 donors, a classification needs two"),
        (["a"] * 8 + ["b"] * 8, "0 class.es. with 3 observations in 2 donors"),
    ],
)
def test_columns_that_are_no_classes_are_refused_with_a_remedy(made, labels, message):
    with pytest.raises(DataError, match=message):
        made(pd.Series(labels))


def test_nothing_is_said_where_every_unit_has_a_class(made):
    found, said = made([*"aaabbbaa", *"aaabbbaa"])
    assert said == ""
    assert found.value_counts().to_dict() == {"a": 10, "b": 6}


def test_many_rare_classes_are_counted_and_a_silent_donor_is_named(capsys):
    groups = pd.Series(list("A" * 6 + "B" * 6 + "C" * 10))
    labels = pd.Series([*"aaabbb", *"aaabbb", *(f"r{i}" for i in range(10))])
    as_classes(labels, groups, ClassificationTask(kind="classification"), RULE, "t")
    said = capsys.readouterr().out
    assert "dropped r0, r1, r2, r3, r4, r5, r6, r7 and 2 more (under" in said
    assert "t: no observation of C has a label, so the task is not scored there" in said


def test_classes_that_differ_in_capitals_alone_are_named(made):
    found, said = made(["Rim", "rim", "Rim", "rim", "Rim", "rim", "Rim", "rim"] * 2)
    assert "['Rim', 'rim'] differ in capitals alone, taken as several classes" in said
    assert found.value_counts().to_dict() == {"Rim": 8, "rim": 8}


def test_names_of_units_may_repeat(made):
    labels = pd.Series([*"aabbaabb"] * 2, index=["u"] * 16)
    found, _ = made(labels)
    assert found.to_list() == labels.to_list()
    assert found.index.equals(labels.index)


@pytest.mark.parametrize(("column", "told"), [("block", "blocks"), ("patient", "donors")])
def test_rare_classes_are_counted_in_the_groups_of_the_split(column, told):
    groups = pd.Series(["S1-block1"] * 20 + ["S1-block2"] * 20, name=column)
    labels = pd.Series(["a"] * 20 + ["b"] * 20)
    rule = ClassRule(class_units=10, class_donors=2)
    spec = ClassificationTask(kind="classification")
    with pytest.raises(
        DataError, match=rf"0 class\(es\) with 10 observations in 2 {told}, a class"
    ):
        as_classes(labels, groups, spec, rule, "t")
