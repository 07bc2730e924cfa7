"""The remark of a data set: a warning that is copied from its pairs into every table of results.

A remark is one text, in `uns["remark"]` of the pairs and in the column `remark` of tables. Tables
of data sets without a remark have no such column.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

REMARK = "remark"  # the column, and the key of `uns` of the pairs


def add_remark(table: pd.DataFrame, uns: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table with the remark of a data set's pairs in its column `remark`.

    Parameters
    ----------
    table
        A table that was computed from the pairs; returned unchanged if the pairs have no remark.
    uns
        `uns` of the pairs.
    """
    return table.assign(**{REMARK: str(uns[REMARK])}) if REMARK in uns else table


def copy_remarks(table: pd.DataFrame, source: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the remark of each row's data set in its column `remark`.

    Parameters
    ----------
    table
        A table that was computed from `source`, with the column `dataset`; returned unchanged if
        none of its data sets has a remark. A data set without a remark gets "".
    source
        Table with the columns `dataset` and, if there are any remarks, `remark`.
    """
    remarks = remarks_by_dataset(source)
    if not any(name in remarks for name in table["dataset"]):
        return table
    return table.assign(**{REMARK: table["dataset"].map(remarks).fillna("")})


def remarks_by_dataset(table: pd.DataFrame) -> dict[str, str]:
    """Return the remark of each data set that has one, from the columns `dataset` and `remark`."""
    if REMARK not in table:
        return {}
    remarks = table[["dataset", REMARK]].dropna().drop_duplicates()
    remarks = remarks[remarks[REMARK] != ""]
    return dict(zip(remarks["dataset"].astype(str), remarks[REMARK].astype(str), strict=True))
