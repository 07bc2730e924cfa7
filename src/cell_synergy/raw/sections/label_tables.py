"""Labels of units from a user's table: regions, cell types, whatever a pathologist or study gives.

A CSV (gzipped or not) or Parquet table with the column `section`; with `barcode` or `cell_id`, or
with `x` and `y` in pixels of the section's image; every other column is a label. Barcodes and cells
are matched as they are written but for blanks around them. With `x` and `y`, a spot or cell takes
the label of the nearest row that is not further than half the diagonal of a unit. What a label is,
and that `NA` is none, says `cell_synergy.core.labels`.
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
from cell_synergy.core.labels import as_labels, as_names, check_spellings, some
from cell_synergy.data.composition import shares_of
from cell_synergy.raw.registration import nearest_within
from cell_synergy.raw.sections.section_files import read_frame, words

_NAMES = ("barcode", "cell_id")
_PLACE = ["x", "y"]
_UNNAMED = "Unnamed:"  # what pandas calls a column without a name


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
    """Read a table of labels, or of shares, of these sections.

    Sections are matched as `cell_synergy.core.labels.as_labels` spells them: the folder `1` is the
    section 1.0 of a table. Columns without a name, such as an index that pandas wrote, and rows
    without a word are left out.
    """
    table = _rows(read_frame(path, ["section"], text=True))
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
    table[columns] = table[columns].apply(as_labels)
    if key is not None:
        table[key] = _identifiers(table[key], path)
    if table.empty:
        raise DataError(f"{path}: has no row; give one for every spot or cell with a label")
    rows = dict(iter(table.groupby(_sections(table["section"], sections, path))))
    if not set(rows) & set(sections):
        raise DataError(
            f"{path}: column 'section' has {some(sorted(rows))}, none of which is a section with a "
            f"donor ({some(sorted(sections))}); name them alike"
        )
    if others := sorted(set(rows) - set(sections)):
        tqdm.write(f"{path.name}: rows of {some(others)}, no sections with a donor, are left out")
    return Labels(path, rows, key, columns)


def _rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return rows and columns that say something; rows are named as in a spreadsheet."""
    table = table.rename(columns=str).set_axis([f"row {line + 2}" for line in range(len(table))])
    named = [name for name in map(str, table) if name and not name.startswith(_UNNAMED)]
    said = table[named].apply(lambda column: column.notna() & (words(column).str.strip() != ""))
    kept: pd.DataFrame = table.loc[said.any(axis=1), named]
    return kept


def _sections(column: pd.Series, sections: Collection[str], path: Path) -> pd.Series:
    """Return the section of each row, spelt as its folder where there is one."""
    where = f"{path}: column 'section'"
    both = as_labels(pd.concat([column, pd.Series(list(sections), dtype=object)]))
    given, folders = both.iloc[: len(column)], both.iloc[len(column) :]
    names = as_names(given, "section", where)
    check_spellings([*names.unique(), *(set(folders) - set(names))], "section", where)
    spelt = dict(zip(folders, sections, strict=True))
    return names.map(lambda name: spelt.get(name, name))


def _identifiers(column: pd.Series, path: Path) -> pd.Series:
    """Return barcodes or cells as they are written, without the blanks around them."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # numbers of cells, in a Parquet table with gaps
    names = words(column).str.strip()
    if (empty := column.isna() | (names == "")).any():
        raise DataError(
            f"{path}: column {column.name!r} is empty for {int(empty.sum())} of {len(column)} "
            f"rows, first {column.index[empty][0]!r}; name the spot or cell of every row"
        )
    return names


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
    kept: pd.DataFrame = found.astype(object).where(found.notna(), None)
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
    numbers = found.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    broken = (numbers.isna() & found.notna()).to_numpy()
    if broken.any():
        row, column = (int(place[0]) for place in np.nonzero(broken))
        raise DataError(
            f"{where}: {found.iloc[row, column]!r} of {str(found.index[row])!r} in column "
            f"{found.columns[column]!r} is no number; give shares from 0 that sum to 1"
        )
    return shares_of(numbers, where)


def _by_name(labels: Labels, section: str, rows: pd.DataFrame, table: ad.AnnData) -> pd.DataFrame:
    rows = rows.set_index(pd.Index(rows[labels.key]))
    if rows.index.has_duplicates:
        twice = rows.index[rows.index.duplicated()][0]
        raise DataError(
            f"{labels.path}: {labels.key} {twice!r} of section {section!r} occurs twice; keep one"
        )
    names = table.obs_names.str.strip()
    if names.has_duplicates:
        names = table.obs_names
    unknown = ~rows.index.isin(names)
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
    return rows[labels.columns].reindex(names).set_axis(table.obs_names)


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
        raise DataError(f"{labels.path}, {row}: 'x' or 'y' is not a number; give it")
    nearest = nearest_within(table.obsm["spatial"], place, reach_um)
    if (nearest < 0).all():
        raise DataError(
            f"{labels.path}: no place of section {section!r} is within {reach_um:.0f} um of its "
            "data; 'x' and 'y' are pixels of the full-resolution image"
        )
    found = rows[labels.columns].astype(object).iloc[nearest].set_axis(table.obs_names)
    found.loc[nearest < 0] = None
    return found
