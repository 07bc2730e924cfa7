"""What people store in `obsm` becomes numbers in the observations' order, or one sentence."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.data.obsm import align_rows, as_coords, as_embedding

NAMES = pd.Index([f"u{i}" for i in range(6)])
X = np.arange(18, dtype=np.float64).reshape(6, 3) ** 2
FRAME = pd.DataFrame(X, NAMES, ["a", "b", "c"])


@pytest.mark.parametrize(
    "value",
    [
        X, X.astype(np.float32), X.astype(np.float16), X.astype(">f8"), X.astype(np.int64),
        X.astype(np.uint16), np.asfortranarray(X), sparse.csr_matrix(X), sparse.csc_array(X),
        FRAME, FRAME[::-1], FRAME.sample(frac=1, random_state=0), FRAME.astype("Int64"),
        FRAME.astype({"a": "Int64", "b": np.float32}), FRAME.set_axis(["a", "a", "a"], axis=1),
    ],
    ids=[
        "float64", "float32", "float16", "big-endian", "int", "unsigned", "by column", "csr", "csc",
        "frame", "frame in another order", "shuffled frame", "nullable", "mixed", "one name",
    ],
)  # fmt: skip
def test_an_embedding_is_the_same_however_it_is_stored(value):
    found = as_embedding(value, NAMES, "t")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, X.astype(np.float32))


def test_truth_values_are_numbers():
    np.testing.assert_array_equal(as_embedding(X > 20, NAMES, "t"), (X > 20).astype(np.float32))


def broken(row, value):
    changed = X.copy()
    changed[row, 1] = value
    return changed


def beyond(matrix):
    matrix.indices[0] = -1
    return matrix


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (X.astype(str), "t holds text and no real numbers; store floats"),
        (X.astype(object), "t holds text and no real numbers"),
        (X.astype(complex), "t holds complex128 and no real numbers"),
        (X[:, 0], r"t has shape \(6,\); it needs one row per observation and at least one column"),
        (X[:, :, None], r"t has shape \(6, 3, 1\)"),
        (X[:, :0], r"t has shape \(6, 0\)"),
        (X[:5], "t has 5 rows for 6 observations; write it again"),
        (broken(2, np.nan), "t is not finite for 1 observations, first 'u2'; drop them"),
        (broken(4, -np.inf), "t is not finite for 1 observations, first 'u4'"),
        (broken(1, 1e300), r"t holds 1e\+300, beyond single precision; rescale it"),
        (broken(1, 4e38), r"t holds 4e\+38, beyond single precision"),
        (X * 0 + 7, "t is the same for every observation, or differs by less than a millionth"),
        (X * 1e-9, "differs by less than a millionth; name another embedding, or rescale it"),
        (FRAME.assign(b="x"), r"t: columns b hold no real numbers; leave them out"),
        (FRAME.astype({"c": "category"}), r"t: columns c hold no real numbers"),
        (FRAME.astype(complex), "hold no real numbers"),
        (FRAME.astype("Int64").mask(FRAME == 0), "t is not finite for 1 observations, first 'u0'"),
        (
            FRAME.set_axis([*"uvwxyz"]),
            "t: the rows are not those of the observations .observation 'u0' has none",
        ),
        (FRAME[:5], "the rows are not those of the observations .observation 'u5' has none"),
        (beyond(sparse.csr_matrix(X)), "t: a broken sparse matrix"),
    ],
)
def test_arrays_that_are_no_embedding_are_refused(value, message):
    with pytest.raises(DataError, match=message):
        as_embedding(value, NAMES, "t")


def test_rows_with_one_name_are_taken_only_in_their_order():
    names = pd.Index(["u", "u", "v"])
    frame = pd.DataFrame({"a": [1.0, 2, 3]}, names)
    assert align_rows(frame, names, "t")["a"].tolist() == [1, 2, 3]
    with pytest.raises(DataError, match="their names occur several times"):
        align_rows(frame[::-1], names, "t")


@pytest.mark.parametrize(
    "columns",
    [
        ["y", "x"], ["Y ", "X"], ["y_centroid", "x_centroid"], ["imagerow", "imagecol"],
        ["pxl_row_in_fullres", "pxl_col_in_fullres"], [1, 0],
    ],
)  # fmt: skip
def test_places_of_a_data_frame_are_found_by_name(columns):
    frame = pd.DataFrame(X[:, [1, 0]], NAMES, columns).assign(region=1.0)
    np.testing.assert_array_equal(as_coords(frame[::-1], NAMES, "t"), X[:, :2])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (X, r"t has shape \(6, 3\); it needs two columns, x and y"),
        (FRAME, r"t has the columns a, b, c; name those of the coordinates x and y"),
        (
            broken(3, np.nan)[:, :2],
            "t is not finite for 1 observations, first 'u3'; drop these observations",
        ),
        (X[:, :2].astype(str), "t holds text and no real numbers"),
    ],
)
def test_arrays_that_are_no_coordinates_are_refused(value, message):
    with pytest.raises(DataError, match=message):
        as_coords(value, NAMES, "t")
