"""Arrays of `obsm` in users' files, converted to numbers with one row per observation."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Float64
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import preview
from cell_synergy.data.embeddings import moments

# Column names of x and y: ours, Xenium's, Space Ranger's, Seurat's, and those of a plain array.
_COORD_COLUMNS = (
    ("x", "y"),
    ("x_centroid", "y_centroid"),
    ("pxl_col_in_fullres", "pxl_row_in_fullres"),
    ("imagecol", "imagerow"),
    ("0", "1"),
)


def as_embedding(value: Any, names: pd.Index, where: str) -> Float32[np.ndarray, "obs d"]:  # noqa: ANN401 - whatever `obsm` holds
    """Check an embedding and return it in single precision, one row per observation.

    Parameters
    ----------
    value
        Array, sparse matrix or data frame, observations x features. The rows of a data frame are
        matched by name, others are taken to be in the order of `names`.
    names
        Names of the observations.
    where
        File and key, for messages.

    Raises
    ------
    DataError
        If `value` is not a table of finite numbers within the range of single precision, has other
        rows than `names`, or every feature is constant (standard deviation below a millionth of
        1 + |mean|).
    """
    x = as_numbers(value, names, where)
    not_finite = ~np.isfinite(x).all(axis=1)
    if not_finite.any():
        raise DataError(
            f"{where} is not finite for {int(not_finite.sum())} observations, first "
            f"{names[not_finite][0]!r}; drop them"
        )
    largest = float(np.abs(x).max(initial=0))
    if largest > float(np.finfo(np.float32).max):
        raise DataError(f"{where} holds {largest:.3g}, beyond single precision; rescale it")
    single: Float32[np.ndarray, "obs d"] = x.astype(np.float32, copy=False)
    if len(single) > 1 and not moments(single)[1].any():
        raise DataError(
            f"{where} is the same for every observation, or differs by less than a millionth; name "
            "another embedding, or rescale it"
        )
    return single


def as_coords(value: Any, names: pd.Index, where: str) -> Float64[np.ndarray, "obs 2"]:  # noqa: ANN401 - whatever `obsm` holds
    """Return the coordinates x and y of every observation, in the unit that they have in `value`.

    Parameters
    ----------
    value
        Array or sparse matrix with two columns, or a data frame, whose columns x and y are selected
        by name (`x` and `y`, or as Xenium, Space Ranger and Seurat name them).
    names
        Names of the observations.
    where
        File and key, for messages.

    Raises
    ------
    DataError
        If `value` does not have two columns of finite numbers or has other rows than `names`, or a
        data frame has no columns of these names.
    """
    if isinstance(value, pd.DataFrame):
        value = _x_and_y(value, where)
    xy = as_numbers(value, names, where).astype(np.float64, copy=False)
    if xy.shape[1] != 2:  # noqa: PLR2004 - x and y
        raise DataError(f"{where} has shape {xy.shape}; it needs two columns, x and y")
    not_finite = np.flatnonzero(~np.isfinite(xy).all(axis=1))
    if len(not_finite):
        raise DataError(
            f"{where} is not finite for {len(not_finite)} observations, first "
            f"{names[not_finite[0]]!r}; drop these observations or give their coordinates"
        )
    return xy


def as_numbers(value: Any, names: pd.Index, where: str) -> Float[np.ndarray, "obs columns"]:  # noqa: ANN401 - whatever `obsm` holds
    """Return a table as an array of floating-point numbers, one row per observation.

    NaN and infinity are allowed. Integers and booleans become double precision; NumPy's
    floating-point numbers keep their precision.

    Parameters
    ----------
    value
        Array, sparse matrix or data frame, observations x columns. The rows of a data frame are
        matched by name, others are taken to be in the order of `names`.
    names
        Names of the observations.
    where
        File and key, for messages.

    Raises
    ------
    DataError
        If a value is not a real number, there is no column, the rows are not one per observation,
        or a sparse matrix is broken.
    """
    if isinstance(value, pd.DataFrame):
        value = _frame_numbers(align_rows(value, names, where), where)
    elif sparse.issparse(value):
        value = _sparse_numbers(value, where)
    dense = np.asarray(value)
    if dense.ndim != 2 or dense.shape[1] == 0:  # noqa: PLR2004 - observations and columns
        raise DataError(
            f"{where} has shape {dense.shape}; it needs one row per observation and at least one "
            "column"
        )
    if len(dense) != len(names):
        raise DataError(
            f"{where} has {len(dense)} rows for {len(names)} observations; write it again"
        )
    if dense.dtype.kind not in "fiub":
        what = "text" if dense.dtype.kind in "OSUT" else str(dense.dtype)
        raise DataError(f"{where} holds {what} and no real numbers; store floats")
    return dense if dense.dtype.kind == "f" else dense.astype(np.float64)


def align_rows(frame: pd.DataFrame, names: pd.Index, where: str) -> pd.DataFrame:
    """Return a data frame with its rows in the order of `names`; names are compared as text.

    Parameters
    ----------
    frame
        One row per observation, in any order.
    names
        Names of the observations.
    where
        File and key of `obsm`, for messages.

    Raises
    ------
    DataError
        If rows are missing or superfluous or, unless the order is already equal, a name occurs
        twice.
    """
    rows, obs_names = frame.index.astype(str), names.astype(str)
    if rows.equals(obs_names):
        return frame
    if rows.is_unique and obs_names.is_unique and len(rows) == len(obs_names):
        index = rows.get_indexer(obs_names)
        if (index >= 0).all():
            return frame.iloc[index]
    absent, superfluous = obs_names[~obs_names.isin(rows)], rows[~rows.isin(obs_names)]
    if len(absent):
        which = f"observation {absent[0]!r} has none"
    elif len(superfluous):
        which = f"row {superfluous[0]!r} is no observation"
    else:
        which = "their names occur several times"
    raise DataError(
        f"{where}: the rows are not those of the observations ({which}); name them alike"
    )


def _frame_numbers(frame: pd.DataFrame, where: str) -> np.ndarray:
    dtypes = [(str(name), dtype) for name, dtype in zip(frame.columns, frame.dtypes, strict=True)]
    wrong = [
        name
        for name, dtype in dtypes
        if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype)
    ]
    if wrong:
        raise DataError(f"{where}: columns {preview(wrong)} hold no real numbers; leave them out")
    if all(isinstance(dtype, np.dtype) for _, dtype in dtypes):
        return frame.to_numpy()
    return frame.to_numpy(dtype=np.float64, na_value=np.nan)


def _sparse_numbers(matrix: Any, where: str) -> np.ndarray:  # noqa: ANN401 - scipy's matrices and arrays
    try:
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)
        return np.asarray(matrix.toarray())
    except ValueError as error:
        raise DataError(f"{where}: a broken sparse matrix ({error}); write it again") from error


def _x_and_y(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    columns = [str(name).strip().lower() for name in frame.columns]
    for pair in _COORD_COLUMNS:
        if all(columns.count(name) == 1 for name in pair):
            return frame.iloc[:, [columns.index(name) for name in pair]]
    raise DataError(
        f"{where} has the columns {preview([str(name) for name in frame.columns])}; name those of "
        "the coordinates x and y"
    )
