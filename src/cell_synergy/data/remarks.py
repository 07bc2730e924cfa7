"""What has to be said beside every number of a data set: it follows the pairs into every table.

A remark is one text. Tables of a data set without one have no column for it.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

REMARK = "remark"  # the column, and the key of `uns` of the pairs


def remarked(table: pd.DataFrame, uns: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table with the remark of the pairs that it was computed from, if they have one.

    Parameters
    ----------
    table
        Any table.
    uns
        Of the pairs.
    """
    return table.assign(**{REMARK: str(uns[REMARK])}) if REMARK in uns else table


def carried(table: pd.DataFrame, source: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the remarks of the one that it was computed from, if there are any.

    Parameters
    ----------
    table, source
        Of one or several data sets, named in the column `dataset`.
    """
    remarks = of_datasets(source)
    if not any(name in remarks for name in table["dataset"]):
        return table
    return table.assign(**{REMARK: table["dataset"].map(remarks).fillna("")})


def of_datasets(table: pd.DataFrame) -> dict[str, str]:
    """Return the remark of each data set that has one."""
    if REMARK not in table:
        return {}
    said = table[["dataset", REMARK]].dropna().drop_duplicates()
    said = said[said[REMARK] != ""]
    return dict(zip(said["dataset"].astype(str), said[REMARK].astype(str), strict=True))
