"""HEST-1k (Jaume et al. 2024, arXiv:2406.16192), in the layout of the hub's `MahmoodLab/hest`.

`st/<id>.h5ad`: counts of spots, of a Xenium section those of squares that HEST lays over it, places
in pixels of the slide. `wsis/<id>.tif`: the slide. `metadata/<id>.json`: `pixel_size_um_estimated`.
`transcripts/<id>_transcripts.parquet`, of a Xenium section: its transcripts with their cells, from
which the units `cells` and `patches` are made. A cell's place is the mean of its transcripts, so
that the outlines in `xenium_seg` are not needed. Spots of a reference donor need no slide.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import some
from cell_synergy.data import anndata_files
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.images import image_size
from cell_synergy.raw.sections.assembly import Measured, assemble, needs_image, options_of
from cell_synergy.raw.sections.count_matrix import CONTROL, as_counts, of_symbols
from cell_synergy.raw.sections.pixel_size import check_pitch
from cell_synergy.raw.sections.section import Section
from cell_synergy.raw.sections.section_files import find, read_scale
from cell_synergy.raw.sections.transcripts import count_cells

_SCALE = "pixel_size_um_estimated"


def read(raw: Path, dataset: DatasetConfig) -> Iterator[Section]:
    """Read the sections under `raw`; their names are HEST's ids."""
    _require_files(raw, dataset)
    present = {path.stem for path in (raw / "wsis").glob("*.tif")}
    present |= set(options_of(dataset).donor_of(()))  # a reference donor's may have no slide
    return assemble(raw, dataset, present, partial(_measure, raw, dataset))


def _require_files(raw: Path, dataset: DatasetConfig) -> None:
    """Name every file that is missing, or every folder, at once."""
    options = options_of(dataset)
    counts = "st/{}.h5ad" if options.units == "spots" else "transcripts/{}_transcripts.parquet"
    kinds = [counts, "wsis/{}.tif", "metadata/{}.json"]
    layout = ", ".join(kind.format("ID") for kind in kinds)
    folders = [kind.partition("/")[0] for kind in kinds]
    if lacking := [folder for folder in folders if not (raw / folder).is_dir()]:
        there = ", ".join(sorted(path.name for path in raw.iterdir() if path.is_dir())) or "none"
        raise DataError(
            f"{raw}: no folder {', no folder '.join(lacking)} (folders there: {there}); the layout "
            f"of HEST-1k is {layout}: rename or add them"
        )
    names = options.donor_of(())
    wanted = [
        kind.format(name)
        for name in names
        for kind in kinds
        if kind != kinds[1] or needs_image(dataset, name)
    ]
    lost = [file for file in wanted if not (raw / file).is_file()]
    if lost:
        hint = (
            "; only Xenium sections have transcripts, for others set sections.units to spots"
            if any(file.startswith("transcripts/") for file in lost)
            else ""
        )
        raise DataError(
            f"{raw}: lacks {some(lost)}; put what is missing "
            f"there, or take its section out of sections.donors{hint}"
        )


def _measure(raw: Path, dataset: DatasetConfig, name: str) -> Measured:
    options = options_of(dataset)
    image: Path | None = raw / "wsis" / f"{name}.tif"
    if not needs_image(dataset, name) and not (raw / "wsis" / f"{name}.tif").is_file():
        image = None
    metadata = find(raw / "metadata", f"{name}.json")
    size, mpp = None if image is None else image_size(image), read_scale(metadata, _SCALE)
    if options.units == "spots":
        source = find(raw / "st", f"{name}.h5ad")
        table = _spots(source)
    else:
        source = find(raw / "transcripts", f"{name}_transcripts.parquet")
        table = count_cells(source)
    table.obsm["spatial"] = table.obsm["spatial"] * mpp
    if options.units == "spots":
        check_pitch(table.obsm["spatial"], dataset.unit_um, f"{metadata}, section {name}")
    return Measured(
        "spots" if options.units == "spots" else "cells", table, image, mpp, size, source
    )


def _spots(path: Path) -> ad.AnnData:
    table = anndata_files.read(path, "fetch it again")
    if "spatial" not in table.obsm or table.X is None:
        raise DataError(
            f"{path}: not an .h5ad of HEST (no obsm['spatial'] or no X); fetch it again"
        )
    kept = ~table.var_names.astype(str).str.match(CONTROL)
    counts = as_counts(table.X, str(path))[:, np.flatnonzero(kept)]
    symbols = table.var_names[kept].to_series().astype(str)
    found = of_symbols(counts, table.obs_names.astype(str), symbols)
    try:
        found.obsm["spatial"] = np.asarray(table.obsm["spatial"], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: obsm['spatial'] holds no places ({error})") from error
    return found
