"""Xenium: one Xenium Onboard Analysis or Xenium Ranger folder per section.

`<section>/` (or `<section>/outs/`) with `cell_feature_matrix.h5` (or the folder of this name),
`cells.parquet` or `cells.csv.gz`, `experiment.xenium` and `*imagealignment.csv`: the 3 x 3 matrix
that Xenium Explorer exports, from pixels of the H&E image to pixels of the morphology image (10x
Genomics, "How can I convert coordinates between H&E image and Xenium data?"). The H&E image is
named by `sections.image` or is the only image in the folder that is not a morphology image. The
matrix holds transcripts of quality 20 and better; its control features are no genes.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from cell_synergy.core.errors import DataError
from cell_synergy.data.images import image_size
from cell_synergy.data.readers import Section
from cell_synergy.data.sections.assembly import Measured, assemble, options_of, within
from cell_synergy.data.sections.files import (
    find,
    find_image,
    outputs,
    read_frame,
    read_scale,
    words,
)
from cell_synergy.data.sections.matrix import read_matrix
from cell_synergy.data.units.dataset import Dataset, Sections

_PLACE = ["x_centroid", "y_centroid"]


def read(raw: Path, dataset: Dataset) -> Iterator[Section]:
    """Read the sections under `raw`, one folder each."""
    present = (path.name for path in raw.iterdir() if path.is_dir())
    return assemble(raw, dataset, present, partial(_measure, raw, options_of(dataset)))


def _measure(raw: Path, options: Sections, name: str) -> Measured:
    found = outputs(raw / name)
    counts = read_matrix(found, "cell_feature_matrix")
    pixel_um = read_scale(find(found, "*experiment.xenium"), "pixel_size")
    to_morphology = _alignment(find(found, "*imagealignment.csv"))
    image = find_image(raw / name, options.image)
    # Columns of the inverse act on rows of (x, y, 1).
    centres = _centroids(found, counts.obs_names.to_list()) / pixel_um
    pixels = np.column_stack([centres, np.ones(len(centres))]) @ np.linalg.inv(to_morphology).T
    mpp = pixel_um * float(np.sqrt(abs(np.linalg.det(to_morphology[:2, :2]))))
    size = image_size(image)
    inside = within(counts, pixels[:, :2], size, str(raw / name))
    counts = counts[inside].copy()
    counts.obsm["spatial"] = pixels[inside, :2] * mpp
    return Measured("cells", counts, image, mpp, size, found)


def _alignment(path: Path) -> Float64[np.ndarray, "3 3"]:
    remedy = "export the alignment of the H&E image from Xenium Explorer again"
    try:
        matrix = np.loadtxt(path, delimiter=",", dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise DataError(f"{path}: not a matrix of numbers ({error}); {remedy}") from error
    if matrix.shape != (3, 3):
        raise DataError(
            f"{path}: {matrix.shape[0]} x {matrix.shape[1]} numbers, not 3 x 3; {remedy}"
        )
    affine = np.isfinite(matrix).all() and np.allclose(matrix[2], [0, 0, 1])
    if not affine or abs(np.linalg.det(matrix)) < 1e-9:  # noqa: PLR2004 - scales are near 1
        raise DataError(f"{path}: not an affine map that can be inverted; {remedy}")
    return matrix


def _centroids(found: Path, names: list[str]) -> Float64[np.ndarray, "cells 2"]:
    """Return the centroids of the matrix's cells, in micrometres of the morphology image."""
    packed = list(found.glob("*cells.parquet"))
    path = find(
        found, "*cells.parquet" if packed else "*cells.csv.gz", "cells.parquet (or .csv.gz)"
    )
    table = read_frame(path, ["cell_id", *_PLACE])
    table = table.set_index(words(table["cell_id"]))
    if lost := sorted(set(names) - set(table.index)):
        raise DataError(
            f"{path}: {len(lost)} of {len(names)} cells of the matrix (e.g. {lost[0]}) are not "
            "there; matrix and cells are of different sections"
        )
    return table.loc[names, _PLACE].to_numpy(np.float64)
