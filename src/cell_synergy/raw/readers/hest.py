"""HEST-1k (Jaume et al. 2024, arXiv:2406.16192), in the layout of the hub's `MahmoodLab/hest`.

* `st/<id>.h5ad`: counts of spots, or of HEST's squares on a Xenium section, with coordinates in
  pixels of the slide.
* `wsis/<id>.tif`: the slide; spots of a reference donor need none.
* `metadata/<id>.json`: `pixel_size_um_estimated`.
* `transcripts/<id>_transcripts.parquet`, for a Xenium section: its transcripts with their cells,
  from which cells and patches are made. The position of a cell is the mean over its transcripts, so
  that the outlines in `xenium_seg` are not needed.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import preview
from cell_synergy.data import anndata_files
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.images import image_size
from cell_synergy.raw.sections.assembly import (
    MeasuredSection,
    assemble,
    needs_image,
    sections_config,
)
from cell_synergy.raw.sections.coordinates import spatial_coords
from cell_synergy.raw.sections.count_matrix import CONTROL, as_counts, by_symbol
from cell_synergy.raw.sections.pixel_size import check_pitch
from cell_synergy.raw.sections.section import Section
from cell_synergy.raw.sections.section_files import find, read_scale
from cell_synergy.raw.sections.transcripts import count_cells

_SCALE = "pixel_size_um_estimated"


def read(raw: Path, dataset: DatasetConfig) -> Iterator[Section]:
    """Yield the sections, named by their ids in HEST-1k.

    Raises
    ------
    ConfigError
        If the reader has no key `units`.
    DataError
        If a file is missing or cannot be read, or a section contradicts the configuration.
    """
    _require_files(raw, dataset)
    present = {path.stem for path in (raw / "wsis").glob("*.tif")}
    present |= set(sections_config(dataset).donor_of(()))  # a reference section may have no slide
    return assemble(raw, dataset, present, partial(_measure, raw, dataset))


def _require_files(raw: Path, dataset: DatasetConfig) -> None:
    """Refuse a folder with missing subfolders or files; one message names all of them."""
    config = sections_config(dataset)
    counts = "st/{}.h5ad" if config.units == "spots" else "transcripts/{}_transcripts.parquet"
    slide, metadata = "wsis/{}.tif", "metadata/{}.json"
    layout = ", ".join(pattern.format("ID") for pattern in (counts, slide, metadata))
    folders = [pattern.partition("/")[0] for pattern in (counts, slide, metadata)]
    if missing := [folder for folder in folders if not (raw / folder).is_dir()]:
        present = ", ".join(sorted(path.name for path in raw.iterdir() if path.is_dir())) or "none"
        raise DataError(
            f"{raw}: no folder {', no folder '.join(missing)} (folders there: {present}); the "
            f"layout of HEST-1k is {layout}: rename or add them"
        )
    required = []
    for name in config.donor_of(()):
        patterns = (counts, slide, metadata) if needs_image(dataset, name) else (counts, metadata)
        required += [pattern.format(name) for pattern in patterns]
    missing = [file for file in required if not (raw / file).is_file()]
    if missing:
        hint = ""
        if any(file.startswith("transcripts/") for file in missing):
            hint = "; only Xenium sections have transcripts, for others set reader.units to spots"
        raise DataError(
            f"{raw}: lacks {preview(missing)}; put what is missing there, or take its section out "
            f"of reader.donors{hint}"
        )


def _measure(raw: Path, dataset: DatasetConfig, name: str) -> MeasuredSection:
    image: Path | None = raw / "wsis" / f"{name}.tif"
    if not needs_image(dataset, name) and not (raw / "wsis" / f"{name}.tif").is_file():
        image = None
    metadata = find(raw / "metadata", f"{name}.json")
    size, mpp = None if image is None else image_size(image), read_scale(metadata, _SCALE)
    if sections_config(dataset).units == "spots":
        source = find(raw / "st", f"{name}.h5ad")
        adata = _read_spots(source)
        adata.obsm["spatial"] = adata.obsm["spatial"] * mpp
        check_pitch(adata.obsm["spatial"], dataset.unit_um, f"{metadata}, section {name}")
        return MeasuredSection("spots", adata, image, mpp, size, source)
    source = find(raw / "transcripts", f"{name}_transcripts.parquet")
    adata = count_cells(source)
    adata.obsm["spatial"] = adata.obsm["spatial"] * mpp
    return MeasuredSection("cells", adata, image, mpp, size, source)


def _read_spots(path: Path) -> ad.AnnData:
    """Return the counts of spots by gene symbol, without controls; coordinates are in pixels."""
    spots = anndata_files.read(path, "fetch it again")
    if "spatial" not in spots.obsm or spots.X is None:
        raise DataError(
            f"{path}: not an .h5ad of HEST (no obsm['spatial'] or no X); fetch it again"
        )
    is_gene = ~spots.var_names.astype(str).str.match(CONTROL)
    counts = as_counts(spots.X, str(path))[:, np.flatnonzero(is_gene)]
    symbols = spots.var_names[is_gene].to_series().astype(str)
    adata = by_symbol(counts, spots.obs_names.astype(str), symbols)
    adata.obsm["spatial"] = spatial_coords(spots, str(path))
    return adata
