"""Mouse olfactory bulb, Spatial Transcriptomics (Stahl et al. 2016, doi:10.1126/science.aaf2403).

Counts are in the layout of the original release. Images and layers annotated by experts are those
of the tutorial of `tare/Splotch`, whose sample groups are used as donors: Rep1 and Rep2 are group
A, Rep11 is group E. That each group is one animal was not verified. `obs["layer"]` is the layer of
the bulb.

R's prefix X of gene names that begin with a digit is removed; other characters that R replaced by a
dot (`H2.Ke2`) cannot be distinguished from true dots and are kept.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.images import image_size
from cell_synergy.raw.sections.coordinates import drop_outside_image
from cell_synergy.raw.sections.section import Section, check_section
from cell_synergy.raw.spot_tables import array_positions, read_counts, read_table


class _Replicate(NamedTuple):
    """Sample group of a section and the number of its image and annotation files."""

    donor: str
    number: str


_SECTIONS = {
    "Rep1": _Replicate("A", "01"),
    "Rep2": _Replicate("A", "02"),
    "Rep11": _Replicate("E", "11"),
}
_LAYERS = (
    "olfactory nerve layer",
    "glomerular layer",
    "outer plexiform layer",
    "mitral cell layer",
    "granular cell layer",
)
_INTERVALS = np.array([32, 34])  # columns and rows of the array, less one
_MPP = 2.75  # micrometres per pixel


def read(raw: Path, dataset: DatasetConfig) -> Iterator[Section]:  # noqa: ARG001 - every reader's signature
    """Yield the three sections, Rep1, Rep2 and Rep11.

    Raises
    ------
    DataError
        If a file is missing, damaged or not as published, or a section is invalid.
    """
    for name, replicate in _SECTIONS.items():
        source = raw / "counts" / f"{name}_MOB_count_matrix-1.tsv.gz"
        image = Path("images") / f"{replicate.number}.jpg"
        size = image_size(raw / image)
        adata = read_counts(source)
        adata.var_names = [re.sub(r"^X(?=\d)", "", gene) for gene in adata.var_names]
        spots = array_positions(adata.obs_names, "x", source)
        adata.obs["layer"] = _layers(raw, replicate.number, spots)
        # The image is cropped to the array: its corners are the outermost spots.
        array_xy = np.array([spot.split("x") for spot in adata.obs_names], dtype=np.float64)
        adata.obsm["spatial"] = (array_xy - 1) / _INTERVALS * np.array(size) * _MPP
        where = f"{source}, section {name}"
        adata, coverage = drop_outside_image(adata, _MPP, size, "spots", where)
        section = Section(name, replicate.donor, adata, image, _MPP, coverage=coverage)
        check_section(section, source)
        yield section


def _layers(raw: Path, number: str, spots: pd.Index) -> pd.Categorical:
    """Return the layer of each spot from a one-hot table, layers x spots; missing if all are 0."""
    path = raw / "annotations" / f"{number}_01.tsv"
    table = read_table(path)
    table.index = table.index.astype(str).str.strip().str.lower()
    if unknown := sorted(set(table.index) - set(_LAYERS)):
        raise DataError(f"{path}: unknown layer {unknown[0]!r}{suggest(unknown[0], _LAYERS)}")
    table.columns = array_positions(table.columns, "_", path)
    marks = table.reindex(index=list(_LAYERS), columns=spots, fill_value=0).to_numpy() == 1
    if (marks.sum(axis=0) > 1).any():
        spot = spots[int(np.flatnonzero(marks.sum(axis=0) > 1)[0])]
        raise DataError(f"{path}: spot {spot} is in more than one layer; mark one")
    layers = [
        _LAYERS[layer] if marked else None
        for layer, marked in zip(marks.argmax(axis=0), marks.any(axis=0), strict=True)
    ]
    return pd.Categorical(layers, categories=list(_LAYERS))
