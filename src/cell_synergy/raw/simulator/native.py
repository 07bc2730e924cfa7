"""Writers of simulated sections in the layouts of Xenium Onboard Analysis and Space Ranger.

The layouts are documented by 10x Genomics: "Xenium Onboard Analysis outputs", "Space Ranger
spatial outputs" and "Feature-barcode matrices HDF5".
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from scipy.sparse import csr_matrix

from cell_synergy.raw.simulator.cells import TYPES, Cells
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.simulator.lattice import Lattice

_PIXEL_UM = 0.2125  # micrometres per pixel of Xenium's morphology image
_SPOT_UM = 55.0  # diameter of a Visium spot, micrometres
_GENE_NAME = "SIM{:04d}"


@dataclass(frozen=True)
class SimulatedSection:
    """One simulated section.

    Attributes
    ----------
    name
        Name of the section, equal to the name of its donor.
    lattice, cells
        Observations and cells of the section.
    labels
        Labels, one row per observation and one column per task.
    cell_type_ratio
        Share of each cell type in each observation.
    counts
        Transcript counts, observations x genes.
    cell_counts, cell_order
        Transcript counts of the cells inside of observations, cells x genes, and the indices of
        these cells in `cells`, ordered by observation.
    """

    name: str
    lattice: Lattice
    cells: Cells
    labels: pd.DataFrame
    cell_type_ratio: Float64[np.ndarray, "obs types"]
    counts: csr_matrix
    cell_counts: csr_matrix
    cell_order: Int64[np.ndarray, " inside"]


def xenium(
    folder: Path, section: SimulatedSection, config: SimulatorConfig
) -> dict[str, pd.DataFrame]:
    """Write a Xenium section, whose morphology image is cropped to the observations.

    Centroids are rounded to the centres of a grid of 0.1 um, so that rounding never moves a cell to
    another observation.

    Parameters
    ----------
    folder
        Existing folder that the files are written to.
    section
        The section.
    config
        Configuration of the data set.

    Returns
    -------
    A table under the key `labels`, one row per cell inside an observation: `section`, `cell_id`,
    `cell_type` (of the cell), and for each other task the label of the cell's observation.
    """
    cells, order = section.cells, section.cell_order
    names = [_cell_id(number) for number in range(len(order))]
    _write_matrix(folder / "cell_feature_matrix.h5", section.cell_counts, names)
    margin = section.lattice.margin
    coords = np.floor((cells.coords[order] - margin) * 10) / 10 + 0.05
    centroids = pd.DataFrame(coords, columns=["x_centroid", "y_centroid"])
    centroids.insert(0, "cell_id", names)
    write_table(folder / "cells.csv.gz", centroids, float_format="%.2f")
    metadata = {"pixel_size": _PIXEL_UM, "region_name": section.name, "simulated": True}
    (folder / "experiment.xenium").write_text(json.dumps(metadata) + "\n", encoding="utf-8")
    scale, shift = config.mpp / _PIXEL_UM, -margin / _PIXEL_UM
    alignment = np.array([[scale, 0, shift], [0, scale, shift], [0, 0, 1]])
    np.savetxt(folder / "he_imagealignment.csv", alignment, delimiter=",", fmt="%.17g")
    labels = section.labels.iloc[cells.obs_index[order]].reset_index(drop=True)
    cell_types = np.asarray(TYPES)[cells.cell_type[order]]
    labels = _with_names(labels.assign(cell_type=cell_types), section.name, "cell_id", names)
    return {"labels": labels}


def visium(
    folder: Path, section: SimulatedSection, config: SimulatorConfig
) -> dict[str, pd.DataFrame]:
    """Write a Visium section with all spots on tissue.

    Parameters
    ----------
    folder
        Existing folder that the files are written to.
    section
        The section.
    config
        Configuration of the data set.

    Returns
    -------
    Tables under the keys `labels` and `composition`, one row per spot: `section`, `barcode`, and
    the label of each task, or the share of each cell type.
    """
    names = [_barcode(number) for number in range(section.lattice.n_obs)]
    _write_matrix(folder / "filtered_feature_bc_matrix.h5", section.counts, names)
    (spatial := folder / "spatial").mkdir()
    grid = section.lattice.grid_index
    pixels = np.round(section.lattice.centres / config.mpp).astype(np.int64)
    positions = pd.DataFrame({
        "barcode": names, "in_tissue": 1, "array_row": grid[:, 0], "array_col": grid[:, 1],
        "pxl_row_in_fullres": pixels[:, 1], "pxl_col_in_fullres": pixels[:, 0],
    })  # fmt: skip
    positions.to_csv(spatial / "tissue_positions.csv", index=False, lineterminator="\n")
    scale = {"spot_diameter_fullres": _SPOT_UM / config.mpp}
    (spatial / "scalefactors_json.json").write_text(json.dumps(scale) + "\n", encoding="utf-8")
    cell_types = np.asarray(TYPES[: config.cell_types])
    composition = pd.DataFrame(section.cell_type_ratio.round(6), columns=cell_types)
    return {
        "labels": _with_names(section.labels, section.name, "barcode", names),
        "composition": _with_names(composition, section.name, "barcode", names),
    }


WRITERS = {"xenium": xenium, "visium": visium}


def _write_matrix(path: Path, counts: csr_matrix, barcodes: list[str]) -> None:
    """Write a feature-barcode matrix in the format of Cell Ranger 3 and later."""
    genes = [_GENE_NAME.format(gene) for gene in range(counts.shape[1])]
    counts.sort_indices()
    compressed = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group.create_dataset("barcodes", data=np.array(barcodes, dtype="S"), **compressed)
        group.create_dataset("data", data=counts.data.astype(np.int32), **compressed)
        group.create_dataset("indices", data=counts.indices.astype(np.int64), **compressed)
        group.create_dataset("indptr", data=counts.indptr.astype(np.int64), **compressed)
        group["shape"] = np.array(counts.shape[::-1], dtype=np.int32)
        features = group.create_group("features")
        features["_all_tag_keys"] = np.array([b"genome"])
        columns = {"id": genes, "name": genes, "feature_type": ["Gene Expression"] * len(genes)}
        for key, values in {**columns, "genome": ["simulated"] * len(genes)}.items():
            features.create_dataset(key, data=np.array(values, dtype="S"), **compressed)


def write_table(path: Path, table: pd.DataFrame, float_format: str | None = None) -> None:
    """Write a gzipped CSV whose bytes depend on the table only, not on file name and time.

    Parameters
    ----------
    path
        File to write.
    table
        The table; its index is not written.
    float_format
        Format of floating-point numbers; None for the shortest text that is read to equal numbers.
    """
    text = table.to_csv(index=False, float_format=float_format, lineterminator="\n").encode()
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, fileobj=raw, mtime=0) as file:
        file.write(text)


def _with_names(table: pd.DataFrame, section: str, key: str, names: list[str]) -> pd.DataFrame:
    table = table.reset_index(drop=True)
    table.insert(0, key, names)
    table.insert(0, "section", section)
    return table


def _cell_id(number: int) -> str:
    """Return a cell id of Xenium: eight hexadecimal digits, written as letters a to p."""
    return f"{number:08x}".translate(str.maketrans("0123456789abcdef", "abcdefghijklmnop")) + "-1"


def _barcode(number: int) -> str:
    """Return a barcode of Visium: the number in base four, written as sixteen bases."""
    return "".join("ACGT"[number >> 2 * digit & 3] for digit in reversed(range(16))) + "-1"
