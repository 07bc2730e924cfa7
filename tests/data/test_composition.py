"""Shares of cell types: what passes is untouched, what is something else is called so."""

import numpy as np
import pandas as pd
import pytest

from cell_synergy.core.errors import DataError
from cell_synergy.data.composition import as_shares, concatenate_shares

NAMES = [f"u{i}" for i in range(50)]
TRUE = pd.DataFrame(np.random.default_rng(0).dirichlet(np.ones(8), 50), NAMES, list("abcdefgh"))


@pytest.mark.parametrize(
    "given",
    [
        TRUE, TRUE.astype(np.float32), TRUE.round(4), TRUE.round(3), TRUE.round(2),
        TRUE.where(TRUE.index.to_series() != "u3", np.nan), (TRUE * np.nan),
        TRUE.mul(1 + 1e-6), pd.get_dummies(TRUE.idxmax(axis=1)),
        pd.get_dummies(TRUE.idxmax(axis=1), dtype=int), pd.DataFrame({"a": np.ones(50)}, NAMES),
    ],
    ids=[
        "double", "single", "4 decimals", "3 decimals", "2 decimals", "one row unknown",
        "all unknown", "rounding", "truth values", "whole", "one type",
    ],
)  # fmt: skip
def test_valid_shares_stay_unchanged(given):
    pd.testing.assert_frame_equal(as_shares(given, "t"), given.astype(np.float64))


def changed(place, value):
    new = TRUE.copy()
    new.iloc[place] = value
    return new


COUNTS = pd.DataFrame(np.random.default_rng(0).poisson(13, (50, 8)), NAMES, list("abcdefgh"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (TRUE.to_numpy(), "t is an array without names; store a pandas data frame with one column"),
        (
            TRUE * 100,
            "of 50 of 50 observations are percentages, which sum to 100, first of 'u0'.*by 100",
        ),
        ((TRUE * 100).round(), "are percentages, which sum to 100.*; divide by 100"),
        (
            COUNTS,
            "of 50 of 50 observations are counts, which sum to 10.*; divide each row by its sum",
        ),
        (TRUE * 7.5, "sum to 7.5, not to 1.*; divide each row by its sum"),
        (TRUE * 0, r"sum to 0, first of 'u0' \(0, 0, 0, 0, 0, 0, ...\); leave a row empty \(not 0"),
        (changed((3, slice(None)), 0.0), "of 1 of 50 observations sum to 0, first of 'u3'"),
        (TRUE.drop(columns="a"), "sum to 0.*, not to 1"),
        (
            changed((4, 2), np.nan),
            "of 1 of 50 observations are missing in part, first of 'u4'.*write 0",
        ),
        (changed((4, 2), -0.1), "are negative or infinite, first of 'u4'"),
        (changed((4, 2), np.inf), "are negative or infinite, first of 'u4'"),
        (changed((4, 2), 1e300), r"sum to 1e\+300, not to 1, first of 'u4'"),
        (TRUE.assign(a="much"), "column 'a' holds object, no numbers; store floats"),
        (TRUE.astype({"b": "category"}), "column 'b' holds category, no numbers"),
        (TRUE.astype({"b": "Float64"}), "column 'b' holds Float64, no numbers; store floats"),
        (TRUE.astype(complex), "column 'a' holds complex128"),
        (TRUE.iloc[:, :0], "needs one column per cell type, and has"),
        (TRUE.set_axis(list("aacdefgh"), axis=1), "needs one column per cell type, and has"),
    ],
)
def test_tables_that_are_no_composition_are_refused(given, message):
    with pytest.raises(DataError, match=message):
        as_shares(given, "t")


def test_sections_are_stacked_and_a_type_that_one_does_not_name_is_zero_there_and_said(capsys):
    one, other = TRUE[["a", "b"]], TRUE[["c", "b"]].set_axis([f"v{i}" for i in range(50)])
    one.iloc[3] = np.nan
    found = concatenate_shares("lab", {"S1": one, "S2": other})
    assert found.columns.tolist() == ["a", "b", "c"]
    assert found.dtypes.unique().tolist() == [np.float32]
    np.testing.assert_array_equal(
        found.loc["v7"], np.array([0, *other.loc["v7", ["b", "c"]]], np.float32)
    )
    np.testing.assert_array_equal(
        found.loc["u7"], np.array([*one.loc["u7", ["a", "b"]], 0], np.float32)
    )
    assert found.loc["u3"].isna().all()
    assert int(found.isna().sum().sum()) == 3
    told = capsys.readouterr().out
    assert "section S1 has no shares of c, which count as zero there" in told
    assert "section S2 has no shares of a, which" in told
    assert "1 of 100 observations have no shares of cell types and are left out" in told


def test_sections_that_name_the_same_types_in_another_order_say_nothing(capsys):
    other = TRUE[list("hgfedcba")].set_axis([f"v{i}" for i in range(50)])
    found = concatenate_shares("lab", {"S1": TRUE, "S2": other})
    np.testing.assert_array_equal(found.loc["v9", "c"], TRUE.astype(np.float32).loc["u9", "c"])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ([*"abcdefgH"], r"'H' and 'h' differ in blanks or capitals alone"),
        (["a", "b", "c ", *"defgh"], r"'c' and 'c ' differ in blanks or capitals alone"),
        ([*"stuvwxyz"], r"S1 .* and S2 .* have no cell type in common; name the types"),
    ],
)
def test_types_that_are_only_called_otherwise_are_refused(types, message):
    with pytest.raises(DataError, match=message):
        concatenate_shares("lab", {"S1": TRUE, "S2": TRUE.set_axis(types, axis=1)})
