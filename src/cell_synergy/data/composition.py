"""Compositions: the shares of cell types in a unit, which sum to one, or none at all."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import check_spellings, some

_ROUNDING = 1e-3  # how far from one a sum may be; more where shares are written with few decimals
_WIDEST = 0.15
_PERCENT = 100
_SHOWN = 6  # shares that a message lists


def shares_of(found: Any, where: str) -> pd.DataFrame:  # noqa: ANN401 - whatever `obsm` holds
    """Return shares as they are given, in double precision; a row of unknown shares is all NaN.

    A sum may differ from one as far as rounding goes: shares of two decimals by half a hundredth
    for each cell type.

    Parameters
    ----------
    found
        A data frame of numbers, one column per cell type.
    where
        File, and key or section, for messages.

    Raises
    ------
    DataError
        If it is none, or a row is not empty and not made of numbers from 0 that sum to 1.
    """
    if not isinstance(found, pd.DataFrame):
        raise DataError(
            f"{where} is an array without names; store a pandas data frame with one column per "
            "cell type"
        )
    values, columns = _numbers(found, where), [str(name) for name in found.columns]
    if values.shape[1] == 0 or len(set(columns)) < len(columns):
        raise DataError(f"{where} needs one column per cell type, and has {some(columns)}")
    empty = np.isnan(values)
    known = ~empty.all(axis=1)
    shares = pd.DataFrame(values, found.index, found.columns)
    partly = known & empty.any(axis=1)
    remedy = "write 0 for a type that is not there, or leave the whole row empty"
    _refuse(shares, partly, "are missing in part", remedy, where)
    impossible = known & ~(np.isfinite(values) & (values >= 0)).all(axis=1)
    remedy = "give numbers from 0 that sum to 1"
    _refuse(shares, impossible, "are negative or infinite", remedy, where)
    sums = values.sum(axis=1)
    wrong = known & (np.abs(sums - 1) > _tolerance(values[known]))
    if wrong.any():
        _refuse(shares, wrong, *_of_sums(values[wrong], sums[wrong]), where)
    return shares


def joined_shares(name: str, sections: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Stack the shares of sections; a type that a section does not name is not in it, and is said.

    Parameters
    ----------
    name
        The data set, for messages.
    sections
        Shares of the units of each, as `shares_of` returns them.

    Raises
    ------
    DataError
        If a type is spelt in several ways, or sections name none that another has: zeros for what
        was only called otherwise would be wrong.
    """
    types = list(dict.fromkeys(str(column) for shares in sections.values() for column in shares))
    check_spellings(types, "cell type", f"{name}: cell types of the composition")
    largest = max(sections, key=lambda section: sections[section].shape[1])
    for section, shares in sections.items():
        own, most = (list(map(str, given.columns)) for given in (shares, sections[largest]))
        if not set(own) & set(most):
            raise DataError(
                f"{name}: the compositions of sections {largest} ({some(most)}) and {section} "
                f"({some(own)}) have no cell type in common; name the types of all sections alike"
            )
        if lacking := [column for column in types if column not in own]:
            tqdm.write(
                f"{name}: section {section} has no shares of {some(lacking)}, which count as zero "
                "there; if they are only called otherwise, name the types of all sections alike"
            )
    parts = [
        shares.rename(columns=str).fillna(0).where(shares.notna().any(axis=1), axis=0)
        for shares in sections.values()
    ]
    stacked = pd.concat(parts)
    known = stacked.notna().any(axis=1)
    if not known.all():
        tqdm.write(
            f"{name}: {int((~known).sum())} of {len(known)} units have no shares of cell types and "
            "are left out of the composition"
        )
    return stacked.fillna(0).where(known, axis=0).astype(np.float32)


def _numbers(found: pd.DataFrame, where: str) -> Float64[np.ndarray, "obs types"]:
    """Return the numbers of a data frame whose columns hold nothing else."""
    for name, dtype in zip(found.columns, found.dtypes, strict=True):
        if not (isinstance(dtype, np.dtype) and dtype.kind in "fiub"):
            raise DataError(f"{where}: column {name!r} holds {dtype}, no numbers; store floats")
    return found.to_numpy(dtype=np.float64)


def _tolerance(values: Float64[np.ndarray, "obs types"]) -> float:
    """Return how far sums of shares with so few decimals may be from one."""
    for decimals in (2, 3, 4):
        if np.allclose(values, values.round(decimals), rtol=0, atol=1e-6):
            rounding: float = 0.5 * values.shape[1] / 10**decimals
            return max(_ROUNDING, min(_WIDEST, rounding))
    return _ROUNDING


def _of_sums(
    values: Float64[np.ndarray, "wrong types"], sums: Float64[np.ndarray, " wrong"]
) -> tuple[str, str]:
    """Say what rows are that do not sum to one, and what to do with them."""
    usual = float(np.median(sums))
    if usual == 0:
        return "sum to 0", "leave a row empty (not 0) where nothing is known"
    if float(np.median(np.abs(sums - _PERCENT))) <= 1:
        return f"are percentages, which sum to {usual:.4g}", "divide by 100"
    if (values == np.rint(values)).all():
        return f"are counts, which sum to {usual:.4g}", "divide each row by its sum"
    return f"sum to {usual:.4g}, not to 1", "divide each row by its sum, or leave it empty"


def _refuse(
    shares: pd.DataFrame, wrong: Bool[np.ndarray, " obs"], problem: str, remedy: str, where: str
) -> None:
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        given = ", ".join(f"{value:.4g}" for value in shares.iloc[first].to_list()[:_SHOWN])
        raise DataError(
            f"{where}: the shares of {int(wrong.sum())} of {len(shares)} units {problem}, first of "
            f"{str(shares.index[first])!r} ({given}{', ...' * (shares.shape[1] > _SHOWN)}); "
            f"{remedy}"
        )
