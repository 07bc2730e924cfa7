"""Labels of observations from a user's table: regions, cell types, or any other annotation.

A table is a CSV (gzipped or not) or Parquet file with the column `section`, and with `barcode` or
`cell_id`, or with `x` and `y` in pixels of the section's full-resolution image; every other column
is a label. Barcodes and cell ids are matched exactly, except for blanks around them. With `x` and
`y`, a spot or cell has the label of the nearest row within half the diagonal of an observation.
`cell_synergy.core.labels` defines how labels are spelt and which values, like `NA`, are missing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import as_labels, as_names, check_spellings, preview
from cell_synergy.core.messages import suggest
from cell_synergy.data.composition import as_shares
from cell_synergy.raw.registration import nearest_within
from cell_synergy.raw.sections.section_files import as_text, read_frame

_NAME_COLUMNS = ("barcode", "cell_id")
_COORD_COLUMNS = ["x", "y"]
_UNNAMED = "Unnamed:"  # prefix that pandas gives to a column without a name


@dataclass(frozen=True)
class LabelTable:
    """A user's table of labels, divided by section.

    Attributes
    ----------
    path
        The file, for messages.
    rows
        The rows of each section.
    key
        The column that names spots or cells; None if rows have coordinates instead.
    columns
        The label columns.
    """

    path: Path
    rows: dict[str, pd.DataFrame]
    key: str | None
    columns: list[str]

    def require(self, column: str | None) -> None:
        """Raise a `DataError` for a table without the label column `column`, unless it is None."""
        if column is not None and column not in self.columns:
            raise DataError(
                f"{self.path}: no column {column!r} for reader.cell_type"
                f"{suggest(column, self.columns)}"
            )


def read_labels(path: Path, sections: Collection[str]) -> LabelTable:
    """Read a table of labels, or of cell-type proportions, of some sections.

    Names of sections are compared after `cell_synergy.core.labels.as_labels`, so that the section
    1.0 of a table matches the folder `1`. Empty rows, and columns without a name (such as an index
    that pandas wrote), are left out.

    Parameters
    ----------
    path
        The table: CSV (gzipped or not) or Parquet.
    sections
        Names of the sections that have a donor; rows of others are logged.

    Raises
    ------
    DataError
        If the table cannot be read, a required column or value is missing, it has no label or no
        row, a section is spelt in several ways, or no row belongs to one of the sections.
    """
    table = _without_empty(read_frame(path, ["section"], text=True))
    key = next((name for name in _NAME_COLUMNS if name in table), None)
    if key is None and not set(_COORD_COLUMNS) <= set(table):
        raise DataError(
            f"{path}: needs a column 'barcode' or 'cell_id', or the columns 'x' and 'y' (pixels of "
            f"the image), and has {', '.join(map(str, table.columns))}"
        )
    id_columns = {"section", key} if key else {"section", *_COORD_COLUMNS}
    columns = [str(column) for column in table if column not in id_columns]
    if not columns:
        raise DataError(f"{path}: has no label; add a column, for example 'region'")
    table[columns] = table[columns].apply(as_labels)
    if key is not None:
        table[key] = _identifiers(table[key], path)
    if table.empty:
        raise DataError(f"{path}: has no row; give one for every spot or cell with a label")
    rows = dict(iter(table.groupby(_match_sections(table["section"], sections, path))))
    if not set(rows) & set(sections):
        raise DataError(
            f"{path}: column 'section' has {preview(sorted(rows))}, none of which is a section "
            f"with a donor ({preview(sorted(sections))}); name them alike"
        )
    if others := sorted(set(rows) - set(sections)):
        tqdm.write(
            f"{path.name}: rows of {preview(others)}, which are no sections with a donor, are "
            "left out"
        )
    return LabelTable(path, rows, key, columns)


def _without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """Drop empty rows and unnamed columns; name rows by their line in the file."""
    table = table.rename(columns=str).set_axis([f"row {line + 2}" for line in range(len(table))])
    named = [name for name in map(str, table) if name and not name.startswith(_UNNAMED)]
    filled = table[named].apply(lambda column: column.notna() & (as_text(column).str.strip() != ""))
    selected: pd.DataFrame = table.loc[filled.any(axis=1), named]
    return selected


def _match_sections(column: pd.Series, sections: Collection[str], path: Path) -> pd.Series:
    """Return the section of each row, spelt as the section's folder if there is one."""
    where = f"{path}: column 'section'"
    spelt = as_labels(pd.concat([column, pd.Series(list(sections), dtype=object)]))
    in_column, folders = spelt.iloc[: len(column)], spelt.iloc[len(column) :]
    names = as_names(in_column, "section", where)
    check_spellings([*names.unique(), *(set(folders) - set(names))], "section", where)
    folder_of = dict(zip(folders, sections, strict=True))
    return names.map(lambda name: folder_of.get(name, name))


def _identifiers(column: pd.Series, path: Path) -> pd.Series:
    """Return barcodes or cell ids exactly as written, without the blanks around them."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        # In a Parquet table with missing values, integers are stored as floats.
        column = column.astype("Int64")
    names = as_text(column).str.strip()
    if (empty := column.isna() | (names == "")).any():
        raise DataError(
            f"{path}: column {column.name!r} is empty for {int(empty.sum())} of {len(column)} "
            f"rows, first {column.index[empty][0]!r}; name the spot or cell of every row"
        )
    return names


def join_labels(
    labels: LabelTable, section: str, adata: ad.AnnData, mpp: float, max_distance_um: float
) -> pd.DataFrame:
    """Return the labels of a section's spots or cells, one row each; missing labels are None.

    Parameters
    ----------
    labels
        The table; without a row of the section, all labels are None, which is logged.
    section, adata
        Name of the section, and its spots or cells with coordinates in micrometres.
    mpp
        Micrometres per pixel of the image whose pixels are the unit of the table's coordinates; not
        used for a table of barcodes or cell ids.
    max_distance_um
        Largest distance between a spot or cell and the position of its label, in micrometres; not
        used for a table of barcodes or cell ids.

    Returns
    -------
    Rows in the order of `adata`, one column of text for each label column of the table.

    Raises
    ------
    DataError
        If no row of the section matches a spot or cell, a barcode or cell id occurs twice in the
        section, or a coordinate is not a number.
    """
    if (rows := labels.rows.get(section)) is None:
        tqdm.write(f"section {section}: no row in {labels.path.name}, no labels")
        missing = [None] * adata.n_obs
        return pd.DataFrame(dict.fromkeys(labels.columns, missing), index=adata.obs_names)
    if labels.key is None:
        joined = _join_by_coords(labels, section, rows, adata, mpp, max_distance_um)
    else:
        joined = _join_by_name(labels, section, rows, adata)
    with_none: pd.DataFrame = joined.astype(object).where(joined.notna(), None)
    return with_none


def as_proportions(joined: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return cell-type proportions in double precision; a row sums to one or is all NaN.

    Parameters
    ----------
    joined
        Columns of the table as text, observations x cell types; None where a value is missing.
    where
        The table and section, for messages.

    Raises
    ------
    DataError
        If a value is not a number, or a row is missing in part, has a negative or infinite value,
        or does not sum to one (within the rounding error of its decimals).
    """
    numbers = joined.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    invalid = (numbers.isna() & joined.notna()).to_numpy()
    if invalid.any():
        row, column = (int(index[0]) for index in np.nonzero(invalid))
        raise DataError(
            f"{where}: {joined.iloc[row, column]!r} of {str(joined.index[row])!r} in column "
            f"{joined.columns[column]!r} is not a number; give shares from 0 that sum to 1"
        )
    return as_shares(numbers, where)


def _join_by_name(
    labels: LabelTable, section: str, rows: pd.DataFrame, adata: ad.AnnData
) -> pd.DataFrame:
    rows = rows.set_index(pd.Index(rows[labels.key]))
    if rows.index.has_duplicates:
        duplicate = rows.index[rows.index.duplicated()][0]
        raise DataError(
            f"{labels.path}: {labels.key} {duplicate!r} of section {section!r} occurs twice; keep "
            "one"
        )
    names = adata.obs_names.str.strip()
    if names.has_duplicates:
        names = adata.obs_names
    unmatched = ~rows.index.isin(names)
    if unmatched.all():
        raise DataError(
            f"{labels.path}: no {labels.key} of section {section!r} is in its data (the table has "
            f"{rows.index[0]!r}, the data {adata.obs_names[0]!r}); name them alike"
        )
    if unmatched.any():
        tqdm.write(
            f"section {section}: {int(unmatched.sum())} of {len(rows)} rows of {labels.path.name} "
            f"(e.g. {rows.index[unmatched][0]}) match nothing in the data"
        )
    return rows[labels.columns].reindex(names).set_axis(adata.obs_names)


def _join_by_coords(
    labels: LabelTable,
    section: str,
    rows: pd.DataFrame,
    adata: ad.AnnData,
    mpp: float,
    max_distance_um: float,
) -> pd.DataFrame:
    coords = rows[_COORD_COLUMNS].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64) * mpp
    if not np.isfinite(coords).all():
        row = rows.index[~np.isfinite(coords).all(axis=1)][0]
        raise DataError(f"{labels.path}, {row}: 'x' or 'y' is not a number; give it")
    nearest = nearest_within(adata.obsm["spatial"], coords, max_distance_um)
    if (nearest < 0).all():
        raise DataError(
            f"{labels.path}: no position of section {section!r} is within {max_distance_um:.0f} um "
            "of its data; 'x' and 'y' are pixels of the full-resolution image"
        )
    joined = rows[labels.columns].astype(object).iloc[nearest].set_axis(adata.obs_names)
    joined.loc[nearest < 0] = None
    return joined
