"""Places of Space Ranger's barcodes in the full-resolution image."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64

from cell_synergy.core.errors import DataError
from cell_synergy.data.sections.files import find, read_frame

_COLUMNS = (
    *("barcode", "in_tissue", "array_row", "array_col"),
    *("pxl_row_in_fullres", "pxl_col_in_fullres"),
)


def read_positions(spatial: Path) -> pd.DataFrame:
    """Read the tissue positions in a `spatial` folder, by barcode.

    Space Ranger 2 writes `tissue_positions.csv` with a header, 1 wrote `tissue_positions_list.csv`
    without; Visium HD has `tissue_positions.parquet`.
    """
    path = find(spatial, "tissue_positions*", "tissue_positions.csv (or _list.csv, or .parquet)")
    header = path.suffix == ".parquet" or _begins_with_names(path)
    table = read_frame(path, _COLUMNS, header).set_index("barcode")
    numbers: pd.DataFrame = table.apply(pd.to_numeric, errors="coerce")
    wrong = numbers[list(_COLUMNS[1:])].isna().any(axis=1)
    if wrong.any():
        raise DataError(
            f"{path}: the row of barcode {wrong.idxmax()!r} is not of six columns with numbers "
            f"({', '.join(_COLUMNS)}); copy it again"
        )
    return numbers


def _begins_with_names(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().startswith("barcode,")


def places(
    counts: ad.AnnData, positions: pd.DataFrame, source: Path
) -> Float64[np.ndarray, "units 2"]:
    """Return x and y of each barcode of the matrix, in pixels."""
    if lost := sorted(set(counts.obs_names) - set(positions.index)):
        raise DataError(
            f"{source}: {len(lost)} of {counts.n_obs} barcodes of the matrix (e.g. {lost[0]}) "
            "have no tissue position; matrix and positions are of different sections"
        )
    here = positions.loc[counts.obs_names, ["pxl_col_in_fullres", "pxl_row_in_fullres"]]
    return np.asarray(here, dtype=np.float64)
