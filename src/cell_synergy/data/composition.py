"""Compositions: shares of cell types per observation, which sum to one or are all missing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import check_spellings, preview

_TOLERANCE_MIN = 1e-3  # deviation of a sum from one that is always allowed
_TOLERANCE_MAX = 0.15  # largest deviation that is allowed for shares with few decimals
_PERCENT = 100
_LISTED = 6  # number of shares in a message


def as_shares(table: Any, where: str) -> pd.DataFrame:  # noqa: ANN401 - whatever `obsm` holds
    """Check shares of cell types and return them, otherwise unchanged, in double precision.

    Rows of NaN are kept and sums are not rescaled to 1. A sum may differ from one by 0.001 or, if
    all shares are rounded to 2, 3 or 4 decimals, by their rounding error (0.005 per cell type with
    two decimals), but never by more than 0.15.

    Parameters
    ----------
    table
        A data frame of numbers, observations x cell types.
    where
        File, and key or section, for messages.

    Raises
    ------
    DataError
        If `table` is not a data frame of numbers with one distinct name per column, or a row that
        is not all NaN has missing, negative or infinite shares or does not sum to 1.
    """
    if not isinstance(table, pd.DataFrame):
        raise DataError(
            f"{where} is an array without names; store a pandas data frame with one column per "
            "cell type"
        )
    values, columns = _numbers(table, where), [str(name) for name in table.columns]
    if values.shape[1] == 0 or len(set(columns)) < len(columns):
        raise DataError(f"{where} needs one column per cell type, and has {preview(columns)}")
    missing = np.isnan(values)
    has_shares = ~missing.all(axis=1)
    shares = pd.DataFrame(values, table.index, table.columns)
    incomplete = has_shares & missing.any(axis=1)
    remedy = "write 0 for a type that is not there, or leave the whole row empty"
    _refuse(shares, incomplete, "are missing in part", remedy, where)
    invalid = has_shares & ~(np.isfinite(values) & (values >= 0)).all(axis=1)
    remedy = "give numbers from 0 that sum to 1"
    _refuse(shares, invalid, "are negative or infinite", remedy, where)
    sums = values.sum(axis=1)
    wrong = has_shares & (np.abs(sums - 1) > _tolerance(values[has_shares]))
    if wrong.any():
        _refuse(shares, wrong, *_wrong_sums(values[wrong], sums[wrong]), where)
    return shares


def concatenate_shares(name: str, sections: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Concatenate the shares of sections; a cell type that a section lacks has share zero there.

    Sections that lack a type are logged.

    Parameters
    ----------
    name
        The data set, for messages.
    sections
        Shares by section name, observations x cell types, as `as_shares` returns them.

    Returns
    -------
    Observations, in the order of `sections`, x all cell types, in the order of first occurrence,
    float32. Rows of observations without shares are NaN, and their number is logged.

    Raises
    ------
    DataError
        If a cell type is spelt in several ways, or a section has no cell type in common with the
        section of the most types: a type that is named differently would wrongly count as zero.
    """
    types = list(dict.fromkeys(str(column) for shares in sections.values() for column in shares))
    check_spellings(types, "cell type", f"{name}: cell types of the composition")
    largest = max(sections, key=lambda section: sections[section].shape[1])
    for section, shares in sections.items():
        names = [str(column) for column in shares]
        most = [str(column) for column in sections[largest]]
        if not set(names) & set(most):
            raise DataError(
                f"{name}: the compositions of sections {largest} ({preview(most)}) and "
                f"{section} ({preview(names)}) have no cell type in common; name the types of all "
                "sections alike"
            )
        if lacking := [column for column in types if column not in names]:
            tqdm.write(
                f"{name}: section {section} has no shares of {preview(lacking)}, which count as "
                "zero there; if they have other names, name the types of all sections alike"
            )
    complete = [
        shares.rename(columns=str).fillna(0).where(shares.notna().any(axis=1), axis=0)
        for shares in sections.values()
    ]
    stacked = pd.concat(complete)
    has_shares = stacked.notna().any(axis=1)
    if not has_shares.all():
        tqdm.write(
            f"{name}: {int((~has_shares).sum())} of {len(has_shares)} observations have no shares "
            "of cell types and are left out of the composition"
        )
    return stacked.fillna(0).where(has_shares, axis=0).astype(np.float32)


def _numbers(table: pd.DataFrame, where: str) -> Float64[np.ndarray, "obs types"]:
    """Return a data frame as an array; refuse columns of other types than numbers."""
    for name, dtype in zip(table.columns, table.dtypes, strict=True):
        if not (isinstance(dtype, np.dtype) and dtype.kind in "fiub"):
            raise DataError(f"{where}: column {name!r} holds {dtype}, no numbers; store floats")
    return table.to_numpy(dtype=np.float64)


def _tolerance(values: Float64[np.ndarray, "obs types"]) -> float:
    """Return the allowed deviation of sums from one, by the number of decimals of the shares."""
    for decimals in (2, 3, 4):
        if np.allclose(values, values.round(decimals), rtol=0, atol=1e-6):
            rounding: float = 0.5 * values.shape[1] / 10**decimals
            return max(_TOLERANCE_MIN, min(_TOLERANCE_MAX, rounding))
    return _TOLERANCE_MIN


def _wrong_sums(
    values: Float64[np.ndarray, "wrong types"], sums: Float64[np.ndarray, " wrong"]
) -> tuple[str, str]:
    """Return the likely error in rows that do not sum to one, and the remedy."""
    median = float(np.median(sums))
    if median == 0:
        return "sum to 0", "leave a row empty (not 0) where nothing is known"
    if float(np.median(np.abs(sums - _PERCENT))) <= 1:
        return f"are percentages, which sum to {median:.4g}", "divide by 100"
    if (values == np.rint(values)).all():
        return f"are counts, which sum to {median:.4g}", "divide each row by its sum"
    return f"sum to {median:.4g}, not to 1", "divide each row by its sum, or leave it empty"


def _refuse(
    shares: pd.DataFrame, wrong: Bool[np.ndarray, " obs"], problem: str, remedy: str, where: str
) -> None:
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        row = shares.iloc[first].to_list()
        listed = ", ".join(f"{value:.4g}" for value in row[:_LISTED])
        if len(row) > _LISTED:
            listed += ", ..."
        raise DataError(
            f"{where}: the shares of {int(wrong.sum())} of {len(shares)} observations {problem}, "
            f"first of {str(shares.index[first])!r} ({listed}); {remedy}"
        )
