"""Visium: one Space Ranger folder per section (10x Genomics, "Space Ranger spatial outputs").

`<section>/filtered_feature_bc_matrix.h5` (or the folder of this name) and
`<section>/spatial/tissue_positions.csv` (before Space Ranger 2 `tissue_positions_list.csv`), or
both below `<section>/outs`. The full-resolution H&E image is named by `reader.image` or is the only
image in the folder; without one, `spatial/tissue_hires_image.png` is used, with its scale in
`scalefactors_json.json`. The downscaled images also reveal a full-resolution image in whose pixels
the spots are not given. Micrometres per pixel are computed from the array, whose spots are 100 um
apart, and not from `spot_diameter_fullres`, which is 55 um in some versions and 65 um in others.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.registration import fit_affine
from cell_synergy.raw.sections.assembly import (
    MeasuredSection,
    assemble,
    needs_image,
    sections_config,
)
from cell_synergy.raw.sections.count_matrix import read_matrix
from cell_synergy.raw.sections.pixel_size import check_pitch
from cell_synergy.raw.sections.section import Section
from cell_synergy.raw.sections.section_files import outputs
from cell_synergy.raw.sections.spaceranger_images import check_diameter, find_slide
from cell_synergy.raw.sections.tissue_positions import (
    pixel_coords,
    read_positions,
    select_in_tissue,
)

_PITCH_UM = 100.0
# Distances between rows and between columns of the hexagonal array; a row has every second column.
_ROW_UM, _COLUMN_UM = _PITCH_UM * np.sqrt(3) / 2, _PITCH_UM / 2


def read(raw: Path, dataset: DatasetConfig) -> Iterator[Section]:
    """Yield the sections, one subfolder each.

    Raises
    ------
    ConfigError
        If the reader has no key `units`, or `reader.image` leads out of a section's folder.
    DataError
        If a file is missing or cannot be read, or a section contradicts the configuration.
    """
    present = (path.name for path in raw.iterdir() if path.is_dir())
    return assemble(raw, dataset, present, partial(_measure, raw, dataset))


def _measure(raw: Path, dataset: DatasetConfig, name: str) -> MeasuredSection:
    pattern, needed = sections_config(dataset).image, needs_image(dataset, name)
    folder = outputs(raw / name)
    spatial = folder / "spatial"
    adata = read_matrix(folder, "filtered_feature_bc_matrix")
    positions = read_positions(spatial)
    mpp = _um_per_pixel(positions, spatial)
    check_diameter(spatial, mpp)
    image, image_mpp, size = find_slide(raw / name, spatial, pattern, mpp, needed)
    adata = select_in_tissue(adata, positions, spatial)
    adata.obsm["spatial"] = pixel_coords(adata, positions, spatial) * mpp
    check_pitch(adata.obsm["spatial"], _PITCH_UM, str(spatial), pitch_um=_PITCH_UM)
    return MeasuredSection("spots", adata, image, image_mpp, size, folder, mpp)


def _um_per_pixel(positions: pd.DataFrame, source: Path) -> float:
    """Return micrometres per pixel from the pitch of the array, for any rotation of the slide.

    It is the inverse square root of the determinant of the affine map from array to pixels.
    """
    array = positions[["array_col", "array_row"]].to_numpy(np.float64) * [_COLUMN_UM, _ROW_UM]
    pixels = positions[["pxl_col_in_fullres", "pxl_row_in_fullres"]].to_numpy(np.float64)
    try:
        area = abs(np.linalg.det(fit_affine(array, pixels)[:2]))
    except DataError as error:
        raise DataError(f"{source}: no scale from the tissue positions: {error}") from error
    if area == 0:
        raise DataError(f"{source}: all tissue positions lie on one line of the image")
    return float(area**-0.5)
