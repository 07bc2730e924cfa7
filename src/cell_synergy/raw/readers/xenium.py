"""Xenium: one Xenium Onboard Analysis or Xenium Ranger folder per section.

`<section>/` (or `<section>/outs/`) with `cell_feature_matrix.h5` (or the folder of this name),
`cells.parquet` (or `cells.csv.gz`, `cells.csv`), `experiment.xenium` and the alignment: the 3 x 3
matrix that Xenium Explorer exports, from pixels of the H&E image to pixels of the morphology image
(10x Genomics, "How can I convert coordinates between H&E image and Xenium data?"), called
`*imagealignment.csv`, `*matrix.csv`, or `matrix.csv` in the exported zip. The H&E image is named by
`sections.image` or is the only image in the folder that is not a morphology image. The matrix holds
transcripts of quality 20 and better; its control features are no genes.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from jaxtyping import Float64

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.images import image_size
from cell_synergy.raw.sections.assembly import Measured, assemble, needs_image, options_of
from cell_synergy.raw.sections.count_matrix import read_matrix
from cell_synergy.raw.sections.section import Section
from cell_synergy.raw.sections.section_files import (
    find,
    find_image,
    has_image,
    matches,
    outputs,
    read_frame,
    read_scale,
    require_parts,
    words,
)

_PLACE = ["x_centroid", "y_centroid"]
_CELLS = ("*cells.parquet", "*cells.csv.gz", "*cells.csv")
_ALIGNMENT = ("*imagealignment.csv", "*matrix.csv")
_EXPORT = "matrix.csv"
_EXPORT_AGAIN = "export the alignment of the H&E image from Xenium Explorer again"
_PARTS = {
    "cell_feature_matrix.h5 (or the folder cell_feature_matrix)": (
        *("*cell_feature_matrix.h5", "*cell_feature_matrix", "*cell_feature_matrix.tar*"),
        *("*matrix.mtx", "*matrix.mtx.gz"),
    ),
    "cells.parquet (or .csv.gz)": _CELLS,
    "experiment.xenium": ("*experiment.xenium",),
}
_LAYOUT = (
    "a section of Xenium is a folder with cell_feature_matrix.h5, cells.parquet, "
    "experiment.xenium, the H&E image, and the alignment that Xenium Explorer exports"
)


def read(raw: Path, dataset: DatasetConfig) -> Iterator[Section]:
    """Read the sections under `raw`, one folder each."""
    present = (path.name for path in raw.iterdir() if path.is_dir())
    return assemble(raw, dataset, present, partial(_measure, raw, dataset))


def _measure(raw: Path, dataset: DatasetConfig, name: str) -> Measured:
    found, options = outputs(raw / name), options_of(dataset)
    seen = needs_image(dataset, name) or has_image(raw / name, options.image)
    export = _exported(found)
    wanted = dict(_PARTS)
    if seen and not export:
        wanted["imagealignment.csv (or matrix.csv, alone or in the exported zip)"] = _ALIGNMENT
    require_parts(found, wanted, _LAYOUT)
    counts = read_matrix(found, "cell_feature_matrix")
    pixel_um = read_scale(find(found, "*experiment.xenium"), "pixel_size")
    if not seen:
        counts.obsm["spatial"] = _centroids(found, counts.obs_names.to_list())
        return Measured("cells", counts, None, pixel_um, None, found)
    to_morphology = _alignment(*_alignment_text(found, export))
    image = find_image(raw / name, options.image)
    # Columns of the inverse act on rows of (x, y, 1).
    centres = _centroids(found, counts.obs_names.to_list()) / pixel_um
    pixels = np.column_stack([centres, np.ones(len(centres))]) @ np.linalg.inv(to_morphology).T
    mpp = pixel_um * float(np.sqrt(abs(np.linalg.det(to_morphology[:2, :2]))))
    counts.obsm["spatial"] = pixels[:, :2] * mpp
    return Measured("cells", counts, image, mpp, image_size(image), found)


def _exported(found: Path) -> list[Path]:
    """Return the zips of Xenium Explorer that hold an alignment."""
    if matches(found, *_ALIGNMENT):
        return []
    zips = [path for path in matches(found, "*.zip") if not path.name.endswith(".zarr.zip")]
    return [path for path in zips if _members(path)]


def _members(path: Path) -> list[str]:
    try:
        with ZipFile(path) as packed:
            return [name for name in packed.namelist() if name.rpartition("/")[2] == _EXPORT]
    except (BadZipFile, OSError):
        return []


def _alignment_text(found: Path, export: list[Path]) -> tuple[str, bytes]:
    """Return the name and the content of the one alignment file."""
    if not export:
        files = matches(found, *_ALIGNMENT)
        if len(files) == 1:
            filetypes.required(files[0], "an alignment", _EXPORT_AGAIN)
            return str(files[0]), files[0].read_bytes()
    elif len(export) == len(members := _members(export[0])) == 1:
        with ZipFile(export[0]) as packed:
            return f"{export[0]}, {members[0]}", packed.read(members[0])
    names = ", ".join(path.name for path in export or files)
    raise DataError(f"{found}: {names} hold an alignment; keep the one of this H&E image")


def _alignment(name: str, content: bytes) -> Float64[np.ndarray, "3 3"]:
    remedy = _EXPORT_AGAIN
    try:
        text = content.decode("utf-8-sig").replace('"', "")
        if ";" in text:  # a spreadsheet's, with commas in the numbers
            text = text.replace(",", ".").replace(";", ",")
        rows = [line.replace("\t", ",").strip().strip(",").split(",") for line in text.splitlines()]
        matrix = np.array(
            [list(map(float, row)) for row in rows if row != [""]], np.float64, ndmin=2
        )
    except ValueError as error:
        raise DataError(f"{name}: not a matrix of numbers ({error}); {remedy}") from error
    if matrix.shape != (3, 3):
        shape = " x ".join(map(str, matrix.shape))
        raise DataError(f"{name}: {shape} numbers, not 3 x 3; {remedy}")
    affine = np.isfinite(matrix).all() and np.allclose(matrix[2], [0, 0, 1])
    if not affine or abs(np.linalg.det(matrix)) < 1e-9:  # noqa: PLR2004 - scales are near 1
        raise DataError(f"{name}: not an affine map that can be inverted; {remedy}")
    return matrix


def _centroids(found: Path, names: list[str]) -> Float64[np.ndarray, "cells 2"]:
    """Return the centroids of the matrix's cells, in micrometres of the morphology image."""
    pattern = next(pattern for pattern in _CELLS if matches(found, pattern))
    path = find(found, pattern)
    table = read_frame(path, ["cell_id", *_PLACE])
    table = table.set_index(words(table["cell_id"]))
    if lost := sorted(set(names) - set(table.index)):
        raise DataError(
            f"{path}: {len(lost)} of {len(names)} cells of the matrix (e.g. {lost[0]}) are not "
            "there; matrix and cells are of different sections"
        )
    if len(twice := table.index[table.index.duplicated()]):
        raise DataError(f"{path}: {len(twice)} cells occur twice (e.g. {twice[0]}); keep one each")
    try:
        centres = table.loc[names, _PLACE].to_numpy(np.float64)
    except ValueError as error:
        raise DataError(f"{path}: a centroid is no number ({error}); copy it again") from error
    if len(missing := np.flatnonzero(~np.isfinite(centres).all(axis=1))):
        raise DataError(
            f"{path}: {len(missing)} of {len(names)} cells of the matrix have no centroid: "
            f"x_centroid or y_centroid is NaN (e.g. of {names[missing[0]]}); copy it again, or "
            "leave these cells out of the matrix"
        )
    return centres
