"""Xenium: one Xenium Onboard Analysis or Xenium Ranger folder per section.

`<section>/` (or `<section>/outs/`) with `cell_feature_matrix.h5` (or the folder of this name),
`cells.parquet` (or `cells.csv.gz`, `cells.csv`), `experiment.xenium` and the alignment: the 3 x 3
matrix that Xenium Explorer exports, from pixels of the H&E image to pixels of the morphology image
(10x Genomics, "How can I convert coordinates between H&E image and Xenium data?"), called
`*imagealignment.csv`, `*matrix.csv`, or `matrix.csv` in the exported zip. The H&E image is named by
`reader.image` or is the only image in the folder that is not a morphology image. The matrix counts
transcripts of quality 20 and better; control features are not genes.
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
from cell_synergy.raw.sections.assembly import (
    MeasuredSection,
    assemble,
    needs_image,
    sections_config,
)
from cell_synergy.raw.sections.count_matrix import read_matrix
from cell_synergy.raw.sections.section import Section
from cell_synergy.raw.sections.section_files import (
    as_text,
    find,
    find_image,
    has_image,
    matches,
    outputs,
    read_frame,
    read_scale,
    require_parts,
)

_CENTROID_COLUMNS = ["x_centroid", "y_centroid"]
_CELL_TABLES = ("*cells.parquet", "*cells.csv.gz", "*cells.csv")
_ALIGNMENTS = ("*imagealignment.csv", "*matrix.csv")
_ALIGNMENT_IN_ZIP = "matrix.csv"
_EXPORT_REMEDY = "export the alignment of the H&E image from Xenium Explorer again"
_REQUIRED = {
    "cell_feature_matrix.h5 (or the folder cell_feature_matrix)": (
        *("*cell_feature_matrix.h5", "*cell_feature_matrix", "*cell_feature_matrix.tar*"),
        *("*matrix.mtx", "*matrix.mtx.gz"),
    ),
    "cells.parquet (or .csv.gz)": _CELL_TABLES,
    "experiment.xenium": ("*experiment.xenium",),
}
_LAYOUT = (
    "a section of Xenium is a folder with cell_feature_matrix.h5, cells.parquet, "
    "experiment.xenium, the H&E image, and the alignment that Xenium Explorer exports"
)


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
    folder, pattern = outputs(raw / name), sections_config(dataset).image
    with_image = needs_image(dataset, name) or has_image(raw / name, pattern)
    zips = _zips_with_alignment(folder)
    required = dict(_REQUIRED)
    if with_image and not zips:
        required["imagealignment.csv (or matrix.csv, alone or in the exported zip)"] = _ALIGNMENTS
    require_parts(folder, required, _LAYOUT)
    adata = read_matrix(folder, "cell_feature_matrix")
    pixel_um = read_scale(find(folder, "*experiment.xenium"), "pixel_size")
    centroids_um = _read_centroids(folder, adata.obs_names.to_list())
    if not with_image:
        adata.obsm["spatial"] = centroids_um
        return MeasuredSection("cells", adata, None, pixel_um, None, folder)
    to_morphology = _parse_alignment(*_read_alignment(folder, zips))
    image = find_image(raw / name, pattern)
    # The alignment maps column vectors (x, y, 1); centroids are rows, so its inverse is transposed.
    centroids = np.column_stack([centroids_um / pixel_um, np.ones(len(centroids_um))])
    pixels = centroids @ np.linalg.inv(to_morphology).T
    mpp = pixel_um * float(np.sqrt(abs(np.linalg.det(to_morphology[:2, :2]))))
    adata.obsm["spatial"] = pixels[:, :2] * mpp
    return MeasuredSection("cells", adata, image, mpp, image_size(image), folder)


def _zips_with_alignment(folder: Path) -> list[Path]:
    """Return the zips with an alignment; empty if the folder has an unpacked alignment."""
    if matches(folder, *_ALIGNMENTS):
        return []
    zips = [path for path in matches(folder, "*.zip") if not path.name.endswith(".zarr.zip")]
    return [path for path in zips if _alignment_members(path)]


def _alignment_members(path: Path) -> list[str]:
    """Return the names of the alignments in a zip; empty for a file that is not a zip."""
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
    except (BadZipFile, OSError):
        return []
    return [name for name in names if name.rpartition("/")[2] == _ALIGNMENT_IN_ZIP]


def _read_alignment(folder: Path, zips: list[Path]) -> tuple[str, bytes]:
    """Return the name and the content of the only alignment in a folder."""
    if not zips:
        files = matches(folder, *_ALIGNMENTS)
        if len(files) == 1:
            filetypes.require_readable(files[0], "an alignment", _EXPORT_REMEDY)
            return str(files[0]), files[0].read_bytes()
    elif len(zips) == len(members := _alignment_members(zips[0])) == 1:
        with ZipFile(zips[0]) as archive:
            return f"{zips[0]}, {members[0]}", archive.read(members[0])
    names = ", ".join(path.name for path in zips or files)
    raise DataError(f"{folder}: {names} contain an alignment; keep the one of this H&E image")


def _parse_alignment(name: str, content: bytes) -> Float64[np.ndarray, "3 3"]:
    """Return the affine map from pixels of the H&E image to pixels of the morphology image."""
    remedy = _EXPORT_REMEDY
    try:
        text = content.decode("utf-8-sig").replace('"', "")
        if ";" in text:  # written by a spreadsheet with decimal commas
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


def _read_centroids(folder: Path, names: list[str]) -> Float64[np.ndarray, "cells 2"]:
    """Return the centroids of the named cells, in micrometres in the morphology image's frame."""
    pattern = next(pattern for pattern in _CELL_TABLES if matches(folder, pattern))
    path = find(folder, pattern)
    table = read_frame(path, ["cell_id", *_CENTROID_COLUMNS])
    table = table.set_index(as_text(table["cell_id"]))
    if absent := sorted(set(names) - set(table.index)):
        raise DataError(
            f"{path}: {len(absent)} of {len(names)} cells of the matrix (e.g. {absent[0]}) are not "
            "there; matrix and cells are of different sections"
        )
    if len(duplicates := table.index[table.index.duplicated()]):
        raise DataError(
            f"{path}: {len(duplicates)} cells occur twice (e.g. {duplicates[0]}); keep one each"
        )
    try:
        centroids = table.loc[names, _CENTROID_COLUMNS].to_numpy(np.float64)
    except ValueError as error:
        raise DataError(f"{path}: a centroid is not a number ({error}); copy it again") from error
    if len(missing := np.flatnonzero(~np.isfinite(centroids).all(axis=1))):
        raise DataError(
            f"{path}: {len(missing)} of {len(names)} cells of the matrix have no centroid: "
            f"x_centroid or y_centroid is NaN (e.g. of {names[missing[0]]}); copy it again, or "
            "leave these cells out of the matrix"
        )
    return centroids
