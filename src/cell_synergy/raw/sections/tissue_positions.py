"""Space Ranger's tissue positions: coordinates of each barcode in the full-resolution image."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest
from cell_synergy.raw.sections.section_files import as_text, find, first_row, matches, read_frame

_COLUMNS = (
    *("barcode", "in_tissue", "array_row", "array_col"),
    *("pxl_row_in_fullres", "pxl_col_in_fullres"),
)
_PATTERN = "*tissue_positions*"


def read_positions(spatial: Path) -> pd.DataFrame:
    """Read the tissue positions in a `spatial` folder, one row per barcode.

    Space Ranger 2 writes `tissue_positions.csv` with a header, version 1 wrote
    `tissue_positions_list.csv` without a header; Visium HD has `tissue_positions.parquet`. Other
    tools write either name with or without a header, gzipped, in quotes, or with the columns in
    another order. If `spatial` has no such file, as in GEO, it is searched for in the parent
    folder.

    Returns
    -------
    :
        Indexed by barcode: `in_tissue` (0 or 1), `array_row` and `array_col` (position on the spot
        array), `pxl_row_in_fullres` and `pxl_col_in_fullres` (pixels of the full-resolution image).

    Raises
    ------
    DataError
        If there is no such file or more than one, it cannot be read or has no row, a column is
        missing, a value is not a number, or a barcode occurs twice.
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
    table = table.set_index(as_text(table["barcode"]).rename("barcode"))[list(_COLUMNS[1:])]
    numbers: pd.DataFrame = table.apply(pd.to_numeric, errors="coerce")
    invalid = ~np.isfinite(numbers.to_numpy(np.float64)).all(axis=1)
    if invalid.any():
        raise DataError(
            f"{path}: the row of barcode {table.index[invalid][0]!r} does not have six columns "
            f"with numbers ({', '.join(_COLUMNS)}); copy it again"
        )
    if numbers.empty:
        raise DataError(f"{path}: has no row; copy it again")
    if len(duplicates := numbers.index[numbers.index.duplicated()]):
        raise DataError(
            f"{path}: {len(duplicates)} barcodes occur more than once (e.g. {duplicates[0]!r}); "
            "keep one row of each"
        )
    return numbers


def _has_header(path: Path) -> bool:
    if path.suffix == ".parquet":
        return True
    return "barcode" in [cell.lower() for cell in first_row(path)[0]]


def select_in_tissue(adata: ad.AnnData, positions: pd.DataFrame, source: Path) -> ad.AnnData:
    """Return the spots under tissue; the number of dropped spots is logged.

    In a filtered matrix of Space Ranger, all spots are under tissue. Spots without a tissue
    position are kept.

    Parameters
    ----------
    adata
        Counts, barcodes x genes.
    positions
        Tissue positions by barcode, as `read_positions` returns them.
    source
        The `spatial` folder, for messages.

    Raises
    ------
    DataError
        If no spot is under tissue.
    """
    in_tissue = positions["in_tissue"].reindex(adata.obs_names).to_numpy(np.float64) != 0
    if not in_tissue.any():
        raise DataError(
            f"{source}: in_tissue is 0 for every barcode of the matrix; copy the tissue positions "
            "of this section again"
        )
    if in_tissue.all():
        return adata
    tqdm.write(
        f"{source}: {int((~in_tissue).sum())} of {len(in_tissue)} barcodes of the matrix are not "
        "in tissue (in_tissue is 0), dropped"
    )
    return adata[in_tissue].copy()


def pixel_coords(
    adata: ad.AnnData, positions: pd.DataFrame, source: Path
) -> Float64[np.ndarray, "obs 2"]:
    """Return x and y of each row of the matrix, in pixels of the full-resolution image.

    Parameters
    ----------
    adata
        Counts, barcodes x genes.
    positions
        Tissue positions by barcode, as `read_positions` returns them.
    source
        The `spatial` folder, for messages.

    Raises
    ------
    DataError
        If a barcode has no tissue position.
    """
    if missing := sorted(set(adata.obs_names) - set(positions.index)):
        raise DataError(
            f"{source}: {len(missing)} of {adata.n_obs} barcodes of the matrix (e.g. {missing[0]}) "
            "have no tissue position; matrix and positions are of different sections"
        )
    xy = positions.loc[adata.obs_names, ["pxl_col_in_fullres", "pxl_row_in_fullres"]]
    return np.asarray(xy, dtype=np.float64)
