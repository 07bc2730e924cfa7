"""Tables of the original Spatial Transcriptomics releases: spots on an array of 200 um pitch."""

from collections.abc import Iterable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError

PITCH_UM = 200.0  # distance between neighbouring spots of the array (Stahl et al. 2016)


def read_table(path: Path) -> pd.DataFrame:
    """Read a tab-separated table (gzipped or not) whose first column names the rows.

    Raises
    ------
    DataError
        If the file is missing or cannot be read as such a table.
    """
    filetypes.require_readable(path, "a table", "run `dvc repro download` first")
    try:
        return pd.read_csv(path, sep="\t", index_col=0, low_memory=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(
            f"{path}: not a tab-separated table ({error}); download it again"
        ) from error


def read_counts(path: Path) -> ad.AnnData:
    """Read a table of counts as AnnData, spots x genes (CSR, float32), with the file's names.

    Raises
    ------
    DataError
        If the file is missing, cannot be read as a table, or has a value that is no number.
    """
    table = read_table(path)
    try:
        values = table.to_numpy(dtype=np.float32)
    except ValueError as error:
        raise DataError(f"{path}: {error}, which is not a count; download it again") from error
    return ad.AnnData(
        sparse.csr_matrix(values),
        obs=pd.DataFrame(index=table.index.astype(str)),
        var=pd.DataFrame(index=table.columns.astype(str)),
    )


def array_positions(names: Iterable[str], separator: str, source: Path) -> pd.Index:
    """Name each spot by its array position, `<column>x<row>`, read from its name in a file.

    Different files of a section may name one spot `17x9`, `17.002x8.987` and `17_9`; rounding the
    coordinates gives equal names.

    Parameters
    ----------
    names
        Names of spots, `<x><separator><y>`: column and row in multiples of the spot pitch.
    separator
        Text between x and y in the names.
    source
        The file, for messages.

    Raises
    ------
    DataError
        If a name does not consist of two finite numbers, or two spots round to one array position.
    """
    names = list(names)
    try:
        xy = [[float(part) for part in name.split(separator)] for name in names]
        return grid_names(np.array(xy, dtype=np.float64).reshape(len(names), 2), source)
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{source}: spots are not all named <x>{separator}<y> ({error}); download it again"
        ) from error


def grid_names(xy: np.ndarray, source: Path) -> pd.Index:
    """Name each spot by its nearest position on the slide's spot array, `<column>x<row>` (`17x9`).

    Parameters
    ----------
    xy
        Column (x) and row (y) of each spot, in multiples of the spot pitch, shape spots x 2.
    source
        The file, for messages.

    Raises
    ------
    DataError
        If a coordinate is not finite, or two spots round to the same array position.
    """
    if len(invalid := np.flatnonzero(~np.isfinite(xy).all(axis=1))):
        first = int(invalid[0])
        raise DataError(
            f"{source}: {len(invalid)} spots have no array position, first that of row {first + 1} "
            f"({xy[first, 0]}, {xy[first, 1]}); download it again"
        )
    index = pd.Index([f"{x:.0f}x{y:.0f}" for x, y in np.rint(xy) + 0.0])  # + 0.0: no -0
    if duplicates := sorted(set(index[index.duplicated()])):
        raise DataError(
            f"{source}: {len(duplicates)} array positions occur twice ({duplicates[0]}); "
            "keep one row per spot"
        )
    return index
