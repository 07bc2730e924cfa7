"""Places of Space Ranger's barcodes in the full-resolution image."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64
from tqdm import tqdm

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.raw.sections.section_files import find, first_row, matches, read_frame, words

_COLUMNS = (
    *("barcode", "in_tissue", "array_row", "array_col"),
    *("pxl_row_in_fullres", "pxl_col_in_fullres"),
)
_PATTERN = "*tissue_positions*"


def read_positions(spatial: Path) -> pd.DataFrame:
    """Read the tissue positions in a `spatial` folder, by barcode.

    Space Ranger 2 writes `tissue_positions.csv` with a header, 1 wrote `tissue_positions_list.csv`
    without; Visium HD has `tissue_positions.parquet`. Other tools write either name with or without
    header, gzipped, in quotes, or with the columns in another order. Where there is no folder
    `spatial`, the file lies beside it (GEO).
    """
    folder = spatial if matches(spatial, _PATTERN) else spatial.parent
    if not matches(folder, _PATTERN):
        folder = spatial
    path = find(folder, _PATTERN, "tissue_positions.csv (or _list.csv, or .parquet)")
    table = read_frame(path, ()) if _has_header(path) else read_frame(path, _COLUMNS, header=False)
    table = table.rename(columns=lambda name: str(name).strip().lower())
    if missing := [column for column in _COLUMNS if column not in table]:
        raise DataError(
            f"{path}: no column {missing[0]!r}{suggest(missing[0], map(str, table.columns))}"
        )
    table = table.set_index(words(table["barcode"]).rename("barcode"))[list(_COLUMNS[1:])]
    numbers: pd.DataFrame = table.apply(pd.to_numeric, errors="coerce")
    wrong = ~np.isfinite(numbers.to_numpy(np.float64)).all(axis=1)
    if wrong.any():
        raise DataError(
            f"{path}: the row of barcode {table.index[wrong][0]!r} is not of six columns with "
            f"numbers ({', '.join(_COLUMNS)}); copy it again"
        )
    if numbers.empty:
        raise DataError(f"{path}: has no row; copy it again")
    if len(twice := numbers.index[numbers.index.duplicated()]):
        raise DataError(
            f"{path}: {len(twice)} barcodes occur more than once (e.g. {twice[0]!r}); keep one row "
            "of each"
        )
    return numbers


def _has_header(path: Path) -> bool:
    if path.suffix == ".parquet":
        return True
    return "barcode" in [word.lower() for word in first_row(path)[0]]


def in_tissue(counts: ad.AnnData, positions: pd.DataFrame, source: Path) -> ad.AnnData:
    """Return the spots that Space Ranger found to be under tissue, as the filtered matrix has them.

    Raises
    ------
    DataError
        If none is.
    """
    marked = positions["in_tissue"].reindex(counts.obs_names).to_numpy(np.float64) != 0
    if not marked.any():
        raise DataError(
            f"{source}: in_tissue is 0 for every barcode of the matrix; copy the tissue positions "
            "of this section again"
        )
    if marked.all():
        return counts
    tqdm.write(
        f"{source}: {int((~marked).sum())} of {len(marked)} barcodes of the matrix are not in "
        "tissue (in_tissue is 0), dropped"
    )
    return counts[marked].copy()


def places(
    counts: ad.AnnData, positions: pd.DataFrame, source: Path
) -> Float64[np.ndarray, "obs 2"]:
    """Return x and y of each barcode of the matrix, in pixels."""
    if lost := sorted(set(counts.obs_names) - set(positions.index)):
        raise DataError(
            f"{source}: {len(lost)} of {counts.n_obs} barcodes of the matrix (e.g. {lost[0]}) "
            "have no tissue position; matrix and positions are of different sections"
        )
    here = positions.loc[counts.obs_names, ["pxl_col_in_fullres", "pxl_row_in_fullres"]]
    return np.asarray(here, dtype=np.float64)
