"""Labels of units from a user's table: regions, cell types, whatever a pathologist or study gives.

A CSV (gzipped or not) or Parquet table with the column `section`; with `barcode` or `cell_id`, or
with `x` and `y` in pixels of the section's image; every other column is a label. Names are matched
exactly. With `x` and `y`, a spot or cell takes the label of the nearest row that is not further
than half the diagonal of a unit. An empty label is none.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from tqdm import tqdm

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.data.alignment import nearest_within
from cell_synergy.data.sections.files import read_frame, words

_NAMES = ("barcode", "cell_id")
_PLACE = ["x", "y"]
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Labels:
    """The table, by section.

    Attributes
    ----------
    path
        To name in messages.
    rows
        Of each section.
    key
        The column of names; None where rows have places.
    columns
        Of labels.
    """

    path: Path
    rows: dict[str, pd.DataFrame]
    key: str | None
    columns: list[str]

    def require(self, column: str | None) -> None:
        """Refuse a table without the column that holds cell types, if one is named."""
        if column is not None and column not in self.columns:
            raise DataError(
                f"{self.path}: no column {column!r} for sections.cell_type"
                f"{suggest(column, self.columns)}"
            )


def read_labels(path: Path, sections: Collection[str]) -> Labels:
    """Read a table of labels, or of shares, of these sections."""
    table = read_frame(path, ["section"], text=True)
    key = next((name for name in _NAMES if name in table), None)
    if key is None and not set(_PLACE) <= set(table):
        raise DataError(
            f"{path}: needs a column 'barcode' or 'cell_id', or the columns 'x' and 'y' (pixels of "
            f"the image), and has {', '.join(map(str, table.columns))}"
        )
    known = {"section", key} if key else {"section", *_PLACE}
    columns = [str(column) for column in table if column not in known]
    if not columns:
        raise DataError(f"{path}: has no label; add a column, for example 'region'")
    rows = dict(iter(table.groupby(words(table["section"]))))
    if not set(rows) & set(sections):
        raise DataError(
            f"{path}: column 'section' has {', '.join(sorted(rows))}, none of which is a section "
            f"with a donor ({', '.join(sections)}); name them alike"
        )
    return Labels(path, rows, key, columns)


def join(
    labels: Labels, section: str, table: ad.AnnData, mpp: float, reach_um: float
) -> pd.DataFrame:
    """Return the labels of a section's spots or cells, None where they have none.

    Parameters
    ----------
    section, table
        Its name, and what it measured, with places in micrometres.
    mpp
        Micrometres per pixel of its image.
    reach_um
        How far a labelled place may be from a spot or cell.
    """
    if (rows := labels.rows.get(section)) is None:
        tqdm.write(f"section {section}: no row in {labels.path.name}, no labels")
        nothing = [None] * table.n_obs
        return pd.DataFrame(dict.fromkeys(labels.columns, nothing), index=table.obs_names)
    if labels.key is None:
        found = _by_place(labels, section, rows, table, mpp, reach_um)
    else:
        found = _by_name(labels, section, rows, table)
    text = found.astype(str).apply(lambda column: column.str.strip()).astype(object)
    kept: pd.DataFrame = text.where(found.notna() & (text != ""), None)
    return kept


def shares(found: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the numbers of a table of shares: they sum to one, or a row has none at all.

    Parameters
    ----------
    found
        Words of each spot or cell, None where there are none.
    where
        The table and section, for messages.
    """
    numbers: pd.DataFrame = found.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    known = found.notna().any(axis=1)
    rows = numbers[known]
    wrong = ~((rows >= 0).all(axis=1) & ((rows.sum(axis=1) - 1).abs() < _ROUNDING))
    if wrong.any():
        name = str(rows.index[wrong][0])
        given = ", ".join(map(str, found[found.index == name].iloc[0]))
        raise DataError(
            f"{where}, {name!r}: {given} are no shares; give "
            "numbers from 0 that sum to 1, or leave the row out"
        )
    return numbers


def _by_name(labels: Labels, section: str, rows: pd.DataFrame, table: ad.AnnData) -> pd.DataFrame:
    rows = rows.set_index(words(rows[labels.key]))
    if rows.index.has_duplicates:
        twice = rows.index[rows.index.duplicated()][0]
        raise DataError(
            f"{labels.path}: {labels.key} {twice!r} of section {section!r} occurs twice; keep one"
        )
    unknown = ~rows.index.isin(table.obs_names)
    if unknown.all():
        raise DataError(
            f"{labels.path}: no {labels.key} of section {section!r} is in its data (there "
            f"{rows.index[0]!r}, here {table.obs_names[0]!r}); name them alike"
        )
    if unknown.any():
        tqdm.write(
            f"section {section}: {int(unknown.sum())} of {len(rows)} rows of {labels.path.name} "
            f"(e.g. {rows.index[unknown][0]}) are of nothing in the data"
        )
    found: pd.DataFrame = rows[labels.columns].reindex(table.obs_names)
    return found


def _by_place(
    labels: Labels,
    section: str,
    rows: pd.DataFrame,
    table: ad.AnnData,
    mpp: float,
    reach_um: float,
) -> pd.DataFrame:
    place = rows[_PLACE].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64) * mpp
    if not np.isfinite(place).all():
        row = rows.index[~np.isfinite(place).all(axis=1)][0]
        raise DataError(f"{labels.path}, row {row + 2}: 'x' or 'y' is not a number; give it")
    nearest = nearest_within(table.obsm["spatial"], place, reach_um)
    if (nearest < 0).all():
        raise DataError(
            f"{labels.path}: no place of section {section!r} is within {reach_um:.0f} um of its "
            "data; 'x' and 'y' are pixels of the full-resolution image"
        )
    found = rows[labels.columns].astype(object).iloc[nearest].set_axis(table.obs_names)
    found.loc[nearest < 0] = None
    return found
