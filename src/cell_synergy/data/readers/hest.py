"""HEST-1k (Jaume et al. 2024, arXiv:2406.16192), in the layout of the hub's `MahmoodLab/hest`.

`st/<id>.h5ad`: counts of spots, of a Xenium section those of squares that HEST lays over it, places
in pixels of the slide. `wsis/<id>.tif`: the slide. `metadata/<id>.json`: `pixel_size_um_estimated`.
`transcripts/<id>_transcripts.parquet`, of a Xenium section: its transcripts with their cells, from
which the units `cells` and `patches` are made. A cell's place is the mean of its transcripts, so
that the outlines in `xenium_seg` are not needed.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.data.images import image_size
from cell_synergy.data.readers import Section
from cell_synergy.data.sections.assembly import Measured, assemble, options_of, within
from cell_synergy.data.sections.files import find, read_scale
from cell_synergy.data.sections.matrix import of_symbols
from cell_synergy.data.sections.transcripts import CONTROL, count_cells
from cell_synergy.data.units.dataset import Dataset, Sections

_SCALE = "pixel_size_um_estimated"


def read(raw: Path, dataset: Dataset) -> Iterator[Section]:
    """Read the sections under `raw`; their names are HEST's ids."""
    present = (path.stem for path in (raw / "wsis").glob("*.tif"))
    return assemble(raw, dataset, present, partial(_measure, raw, options_of(dataset)))


def _measure(raw: Path, options: Sections, name: str) -> Measured:
    image = find(raw / "wsis", f"{name}.tif")
    size, mpp = image_size(image), read_scale(find(raw / "metadata", f"{name}.json"), _SCALE)
    if options.units == "spots":
        source = find(raw / "st", f"{name}.h5ad")
        table = _spots(source)
    else:
        file = f"{name}_transcripts.parquet"
        hint = f"{file}; only Xenium sections have it, for others set sections.units to spots"
        source = find(raw / "transcripts", file, hint)
        table = count_cells(source)
        table = table[within(table, table.obsm["spatial"], size, str(source))].copy()
    table.obsm["spatial"] = table.obsm["spatial"] * mpp
    return Measured(
        "spots" if options.units == "spots" else "cells", table, image, mpp, size, source
    )


def _spots(path: Path) -> ad.AnnData:
    try:
        table = ad.read_h5ad(path)
        pixels = np.asarray(table.obsm["spatial"], dtype=np.float64)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not an .h5ad of HEST ({error}); fetch it again") from error
    kept = ~table.var_names.astype(str).str.match(CONTROL)
    counts = sparse.csr_matrix(table.X, dtype=np.float32)[:, np.flatnonzero(kept)]
    symbols = table.var_names[kept].to_series().astype(str)
    found = of_symbols(counts, table.obs_names.astype(str), symbols)
    found.obsm["spatial"] = pixels
    return found
