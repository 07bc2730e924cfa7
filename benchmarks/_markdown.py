"""Tables and numbers in Markdown."""

import math
import re
from collections.abc import Iterable
from typing import Any

import pandas as pd


def number(value: float, digits: int = 2) -> str:
    """Return a number without the zero before the point of a fraction; empty for a missing one.

    Parameters
    ----------
    value, digits
        The number, and how many digits follow the point.
    """
    if math.isnan(value):
        return ""
    text = f"{round(float(value), digits) + 0.0:.{digits}f}"  # adding 0.0 drops the sign of zero
    return re.sub(r"^(-?)0\.", r"\1.", text)


def interval(row: "pd.Series[Any]") -> str:
    """Return bits with their interval."""
    return f"{number(row['bits'])} ({number(row['low'])} to {number(row['high'])})"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table.

    Parameters
    ----------
    header, rows
        Names of the columns, and the cells of each row.
    """
    names = list(header)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: object, digits: int = 3) -> str:
    """Return a value of a table: numbers with a fraction are rounded, missing values empty.

    Parameters
    ----------
    value, digits
        The value, and how many digits follow the point.
    """
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) > 1 else number(value, digits)
    return "" if value is None else str(value).replace("_", " ")


def plain(frame: pd.DataFrame, digits: int = 3) -> str:
    """Return a data frame as a Markdown table.

    Parameters
    ----------
    frame, digits
        The data frame, without its index, and how many digits follow the point.
    """
    rows = ([cell(value, digits) for value in row] for row in frame.itertuples(index=False))
    return table([str(name).replace("_", " ") for name in frame], rows)


def wide(frame: pd.DataFrame, index: list[str], columns: str, values: str) -> str:
    """Return a long data frame as a Markdown table with a column per value of one of its columns.

    Parameters
    ----------
    frame
        The data frame.
    index, columns, values
        Columns that identify a row, column whose values become columns, and column of the cells.
        Cells with several values are their means.
    """
    pivot = frame.pivot_table(values, index, columns, sort=False, dropna=False)
    return plain(pivot.dropna(how="all").reset_index())
