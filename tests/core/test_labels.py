"""One spelling and one meaning of "missing", whatever a column holds."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import MISSING, as_labels, as_names, check_spellings, preview


def test_a_csv_and_an_h5ad_agree_on_what_is_missing(tmp_path):
    words = sorted(MISSING - {""})
    others = ["none", "NONE", "Na", "n.a.", "?", "-", "0"]
    path = tmp_path / "t.csv"
    pd.DataFrame({"word": [*words, *others], "row": 0}).to_csv(path, index=False)
    read = pd.read_csv(path, dtype=str)["word"]
    assert read[read.isna()].index.to_list() == list(range(len(words)))
    assert read.dropna().to_list() == others


@pytest.mark.parametrize(
    "word", ["", " ", "nan", "NA", "None", "<NA>", " nan ", None, np.nan, pd.NA]
)
def test_missing_values_become_none(word):
    assert as_labels(pd.Series([word, "tumour"], dtype=object)).to_list() == [None, "tumour"]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1.0, 2.0, np.nan]),
        pd.Series([1, 2.0, None], dtype=object),
        pd.Series(["1", 2, "nan"], dtype=object),
        pd.Series(["1.0", "2.0", "NaN"]),
        pd.Series([1, 2, None], dtype="Int64"),
        pd.Series(pd.Categorical([1.0, 2.0, None])),
        pd.Series([b"1", b"2", b""], dtype=object),
    ],
)
def test_cluster_numbers_are_labels_however_they_were_saved(column):
    assert as_labels(column).to_list() == ["1", "2", None]


def test_numbers_that_are_not_all_whole_stay_as_they_are():
    assert as_labels(pd.Series(["1.0", "2.5", "01"])).to_list() == ["1.0", "2.5", "01"]
    assert as_labels(pd.Series(["01", "1.0"])).to_list() == ["01", "1"]
    assert as_labels(pd.Series(["2024_01", "v1.0"])).to_list() == ["2024_01", "v1.0"]


def test_numbers_among_words_are_spelt_in_one_way():
    column = pd.Series([1, 2.0, "2.0", "2", "unassigned"], dtype=object)
    assert as_labels(column).to_list() == ["1", "2", "2", "2", "unassigned"]
    assert as_labels(pd.Series(["1.0", "1.1", "x"])).to_list() == ["1.0", "1.1", "x"]
    assert as_labels(pd.Series(["1.0", "1e-3", "x"])).to_list() == ["1.0", "1e-3", "x"]


def test_booleans_become_text():
    assert as_labels(pd.Series([True, False])).to_list() == ["True", "False"]


def test_blanks_and_accents_do_not_make_labels():
    column = pd.Series(["P0 ", "\tP0", "P  0", "P\u00a00", "e\u0301", "\u00e9"])
    assert as_labels(column).to_list() == ["P0", "P0", "P 0", "P 0", "\u00e9", "\u00e9"]


def test_marks_that_are_not_seen_do_not_make_labels():
    column = pd.Series(["P0", "\ufeffP0", "P0\u200b", "\u200b"])
    assert as_labels(column).to_list() == ["P0", "P0", "P0", None]
    with pytest.raises(DataError, match="differ in blanks or capitals alone"):
        check_spellings(["P0", "\uff30\uff10"], "donor", "a.h5ad")  # full width


def test_a_category_that_no_value_has_says_nothing():
    column = pd.Series(pd.Categorical([1.0, None], categories=[0.5, 1.0]), index=["a", "b"])
    found = as_labels(column)
    assert found.to_dict() == {"a": "1", "b": None}
    assert as_labels(pd.Series(pd.Categorical([None, None]))).to_list() == [None, None]


def test_the_index_stays_and_an_empty_column_is_empty():
    assert as_labels(pd.Series(["a"], index=["u7"])).index.to_list() == ["u7"]
    assert as_labels(pd.Series([], dtype=float)).to_list() == []


def test_a_donor_has_one_spelling():
    names = as_names(pd.Series(["P0", "P0 ", "P1"]), "donor", "a.h5ad")
    assert names.to_list() == ["P0", "P0", "P1"]
    with pytest.raises(DataError, match=r"a.h5ad: 'P 0' and 'P0' differ in blanks or capitals"):
        as_names(pd.Series(["P0", "P 0"]), "donor", "a.h5ad")
    with pytest.raises(DataError, match="'P0' and 'p0'"):
        check_spellings(["P0", "p0"], "donor", "a.h5ad")


def test_a_missing_donor_is_refused_with_its_row():
    with pytest.raises(DataError, match=r"the donor is missing for 1 of 2 rows, first 'u1'"):
        as_names(pd.Series(["P0", "nan"], index=["u0", "u1"]), "donor", "a.h5ad")


def test_a_message_lists_the_first_of_many_names():
    assert preview(["a", "b"]) == "a, b"
    assert preview([str(i) for i in range(360)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 352 more"
