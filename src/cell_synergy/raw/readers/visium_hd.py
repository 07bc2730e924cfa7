"""Visium HD: one Space Ranger folder per section (10x Genomics, "Visium HD outputs").

`<section>/binned_outputs/square_<bin>um/` (also below `<section>/outs`) with
`filtered_feature_bc_matrix.h5`, `spatial/tissue_positions.parquet` and
`spatial/scalefactors_json.json`; `reader.bin_um` names the bin. The full-resolution H&E image is
named by `reader.image` or is the only image in the folder; without one, `tissue_hires_image` is
used with its scale, as for Visium.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.messages import suggest
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.sections.assembly import (
    MeasuredSection,
    assemble,
    needs_image,
    sections_config,
)
from cell_synergy.raw.sections.count_matrix import read_matrix
from cell_synergy.raw.sections.pixel_size import check_pitch
from cell_synergy.raw.sections.section import Section
from cell_synergy.raw.sections.section_files import find, outputs, read_scale
from cell_synergy.raw.sections.spaceranger_images import find_slide
from cell_synergy.raw.sections.tissue_positions import (
    pixel_coords,
    read_positions,
    select_in_tissue,
)

_SCALE = "microns_per_pixel"


def read(raw: Path, dataset: DatasetConfig) -> Iterator[Section]:
    """Yield the sections, one subfolder each.

    Raises
    ------
    ConfigError
        If the reader has no key `units` or `bin_um`, or `reader.image` leads out of a section's
        folder.
    DataError
        If a file is missing or cannot be read, or a section contradicts the configuration.
    """
    present = (path.name for path in raw.iterdir() if path.is_dir())
    return assemble(raw, dataset, present, partial(_measure, raw, dataset))


def _measure(raw: Path, dataset: DatasetConfig, name: str) -> MeasuredSection:
    config, needed = sections_config(dataset), needs_image(dataset, name)
    if config.bin_um is None:
        raise ConfigError("reader 'visium_hd' needs reader.bin_um, for example 8")
    folder = _bin_folder(outputs(raw / name) / "binned_outputs", config.bin_um)
    spatial = folder / "spatial"
    adata = read_matrix(folder, "filtered_feature_bc_matrix")
    positions = read_positions(spatial)
    factors = find(spatial, "scalefactors_json.json")
    mpp = read_scale(factors, _SCALE)
    image, image_mpp, size = find_slide(raw / name, spatial, config.image, mpp, needed)
    adata = select_in_tissue(adata, positions, spatial)
    adata.obsm["spatial"] = pixel_coords(adata, positions, spatial) * mpp
    bin_um = float(config.bin_um)
    check_pitch(adata.obsm["spatial"], bin_um, str(factors), pitch_um=bin_um)
    return MeasuredSection("spots", adata, image, image_mpp, size, folder, mpp)


def _bin_folder(binned_outputs: Path, bin_um: int) -> Path:
    folder = binned_outputs / f"square_{bin_um:03d}um"
    if not folder.is_dir():
        present = [path.name for path in binned_outputs.glob("square_*")]
        raise DataError(
            f"{binned_outputs}: no folder {folder.name!r}{suggest(folder.name, present)}"
        )
    return folder
