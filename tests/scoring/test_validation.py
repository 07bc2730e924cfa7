"""Score tables that are broken: each fault is one sentence."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.scoring.tables import COLUMNS, sis_by_donor, sis_table

VALUES = {"image": 0.2, "expression": 0.5, "comm": 0.7}


@pytest.fixture
def scores():
    rows = [
        ["toy", method, "genes", "r2", "linear", "0", donor, seed, value, 10, value, 0, 2]
        for method, value in VALUES.items()
        for donor in ("a", "b")
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_by_place(scores, value):
    scores.loc[scores["method"] == "comm", "value"] = value
    with pytest.raises(ValueError, match=r"not finite at .*method comm.*donor a, seed 0"):
        sis_table(scores)


def test_repeated_rows_and_missing_columns_are_refused(scores):
    with pytest.raises(ValueError, match="a duplicate row at"):
        sis_by_donor(pd.concat([scores, scores]))
    with pytest.raises(ValueError, match="column 'probe' is missing"):
        sis_table(scores.drop(columns="probe"))
    with pytest.raises(ValueError, match="an empty name at"):
        sis_table(scores.assign(donor=None))


@pytest.mark.parametrize("table", [sis_table, sis_by_donor])
def test_without_methods_or_metrics_the_table_is_empty(scores, table):
    columns = table(scores).columns.tolist()
    experts = scores[scores["method"] != "comm"]
    for nothing in (scores.iloc[:0], experts, scores.assign(metric="auc")):
        empty = table(nothing)
        assert empty.empty
        assert empty.columns.tolist() == columns


@pytest.mark.parametrize("name", ["donor", "score", "method", "value", "entropy"])
def test_methods_may_have_the_names_of_columns(scores, name):
    renamed = sis_table(scores.replace({"method": {"comm": name}}))
    pd.testing.assert_frame_equal(renamed.assign(method="comm"), sis_table(scores))


def test_numbers_and_categories_serve_as_names(scores):
    numbers = sis_table(scores.assign(dataset=1, task=2, probe=3, donor=scores["donor"] == "a"))
    assert numbers[["dataset", "task", "probe"]].iloc[0].tolist() == ["1", "2", "3"]
    categories = scores.astype(dict.fromkeys(["method", "task", "metric", "donor"], "category"))
    pd.testing.assert_frame_equal(sis_table(categories), sis_table(scores))


def test_two_experts_of_one_name_are_refused(scores):
    with pytest.raises(DataError, match="both experts are named 'image'; name two different"):
        sis_table(scores, unimodal=("image", "image"))


@pytest.mark.parametrize("column", ["inner", "chance", "entropy"])
def test_a_missing_column_is_explained(scores, column):
    with pytest.raises(DataError, match=rf"scores: column '{column}' is missing; add it \(.+\)"):
        sis_table(scores.drop(columns=column))


@pytest.mark.parametrize("column", ["value", "inner", "chance", "entropy"])
def test_text_is_no_number(scores, column):
    text = scores.astype({column: object})
    text.loc[scores["method"] == "image", column] = "high"
    expected = (
        f"column '{column}' contains 'high', which is no number, at method image, dataset toy, "
        "task genes, metric r2, probe linear, donor a; write"
    )
    with pytest.raises(DataError, match=expected):
        sis_table(text)


def test_numbers_written_as_text_are_numbers(scores):
    written = scores.assign(value=scores["value"].astype(str))
    pd.testing.assert_frame_equal(sis_table(written), sis_table(scores))


def test_experts_say_what_chance_scores_and_the_entropy_of_classes(scores):
    image = scores["method"] == "image"
    others = scores.assign(chance=scores["chance"].where(image), entropy=np.nan)
    expected = "column 'chance' is empty at method expression, dataset toy, task genes, metric r2"
    with pytest.raises(DataError, match=expected):
        sis_table(others)
    sis_table(others.fillna({"chance": 0}))  # a regression has no entropy
    with pytest.raises(DataError, match=r"column 'entropy' is empty at method image.*metric bits"):
        sis_table(scores.assign(metric="bits", entropy=np.nan))
    with pytest.raises(DataError, match=r"column 'entropy' contains 0 at"):
        sis_table(scores.assign(metric="bits", entropy=0.0))
    alone = scores.assign(chance=scores["chance"].where(image | (scores["method"] == "expression")))
    pd.testing.assert_frame_equal(sis_table(alone), sis_table(scores))
