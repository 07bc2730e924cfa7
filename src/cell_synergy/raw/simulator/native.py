"""Simulated sections as files of their platforms: Xenium Onboard Analysis and Space Ranger.

10x Genomics, "Xenium Onboard Analysis outputs", "Space Ranger spatial outputs" and
"Feature-barcode matrices HDF5".
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

from cell_synergy.raw.simulator import cells
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.simulator.lattice import Lattice

PIXEL_UM = 0.2125  # of Xenium's morphology image
SPOT_UM = 55.0  # diameter of Visium's spots
COUNTED = "SIM{:04d}"


@dataclass(frozen=True)
class Drawn:
    """One simulated section.

    Attributes
    ----------
    name
        Of the section, which is its donor's.
    lattice, placed
        Its units and cells.
    labels
        A column per task, a row per unit.
    share
        Of each cell type in the units.
    counts
        Units x genes.
    dealt, order
        Cells x genes, and which of all cells these are, in the order of their units.
    """

    name: str
    lattice: Lattice
    placed: cells.Cells
    labels: pd.DataFrame
    share: Float64[np.ndarray, "obs kinds"]
    counts: csr_matrix
    dealt: csr_matrix
    order: Int64[np.ndarray, " inside"]


def xenium(folder: Path, drawn: Drawn, config: SimulatorConfig) -> dict[str, pd.DataFrame]:
    """Write a Xenium section, whose morphology image is of the units without the margin.

    Centroids are in the middle of a grid of 0.1 um, so that no rounding moves them to another unit.

    Returns
    -------
    `labels`: of every cell, its own type and the labels of its unit.
    """
    names = [_cell_id(number) for number in range(len(drawn.order))]
    write_matrix(folder / "cell_feature_matrix.h5", drawn.dealt, names)
    margin = drawn.lattice.margin
    place = np.floor((drawn.placed.position[drawn.order] - margin) * 10) / 10 + 0.05
    centroids = pd.DataFrame(place, columns=["x_centroid", "y_centroid"])
    centroids.insert(0, "cell_id", names)
    write_table(folder / "cells.csv.gz", centroids, float_format="%.2f")
    card = {"pixel_size": PIXEL_UM, "region_name": drawn.name, "simulated": True}
    (folder / "experiment.xenium").write_text(json.dumps(card) + "\n", encoding="utf-8")
    scale, shift = config.mpp / PIXEL_UM, -margin / PIXEL_UM
    alignment = np.array([[scale, 0, shift], [0, scale, shift], [0, 0, 1]])
    np.savetxt(folder / "he_imagealignment.csv", alignment, delimiter=",", fmt="%.17g")
    labels = drawn.labels.iloc[drawn.placed.unit[drawn.order]].reset_index(drop=True)
    kinds = np.asarray(cells.TYPES)[drawn.placed.kind[drawn.order]]
    return {"labels": _named(labels.assign(cell_type=kinds), drawn.name, "cell_id", names)}


def visium(folder: Path, drawn: Drawn, config: SimulatorConfig) -> dict[str, pd.DataFrame]:
    """Write a Visium section, all of whose spots lie on tissue.

    Returns
    -------
    `labels` and `composition` of every spot.
    """
    names = [_barcode(number) for number in range(drawn.lattice.units)]
    write_matrix(folder / "filtered_feature_bc_matrix.h5", drawn.counts, names)
    (spatial := folder / "spatial").mkdir()
    places = drawn.lattice.places
    pixels = np.round(drawn.lattice.centres / config.mpp).astype(np.int64)
    positions = pd.DataFrame({
        "barcode": names, "in_tissue": 1, "array_row": places[:, 0], "array_col": places[:, 1],
        "pxl_row_in_fullres": pixels[:, 1], "pxl_col_in_fullres": pixels[:, 0],
    })  # fmt: skip
    positions.to_csv(spatial / "tissue_positions.csv", index=False, lineterminator="\n")
    scale = {"spot_diameter_fullres": SPOT_UM / config.mpp}
    (spatial / "scalefactors_json.json").write_text(json.dumps(scale) + "\n", encoding="utf-8")
    kinds = np.asarray(cells.TYPES[: config.cell_types])
    share = pd.DataFrame(drawn.share.round(6), columns=kinds)
    return {
        "labels": _named(drawn.labels, drawn.name, "barcode", names),
        "composition": _named(share, drawn.name, "barcode", names),
    }


WRITERS = {"xenium": xenium, "visium": visium}


def write_matrix(path: Path, counts: csr_matrix, barcodes: list[str]) -> None:
    """Write a feature-barcode matrix of Cell Ranger 3 and later."""
    genes = [COUNTED.format(gene) for gene in range(counts.shape[1])]
    counts.sort_indices()
    packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group.create_dataset("barcodes", data=np.array(barcodes, dtype="S"), **packed)
        group.create_dataset("data", data=counts.data.astype(np.int32), **packed)
        group.create_dataset("indices", data=counts.indices.astype(np.int64), **packed)
        group.create_dataset("indptr", data=counts.indptr.astype(np.int64), **packed)
        group["shape"] = np.array(counts.shape[::-1], dtype=np.int32)
        features = group.create_group("features")
        features["_all_tag_keys"] = np.array([b"genome"])
        columns = {"id": genes, "name": genes, "feature_type": ["Gene Expression"] * len(genes)}
        for key, words in {**columns, "genome": ["simulated"] * len(genes)}.items():
            features.create_dataset(key, data=np.array(words, dtype="S"), **packed)


def write_table(path: Path, table: pd.DataFrame, float_format: str | None = None) -> None:
    """Write a gzipped CSV; the same table is the same bytes, whatever its name and the time."""
    text = table.to_csv(index=False, float_format=float_format, lineterminator="\n").encode()
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, fileobj=raw, mtime=0) as file:
        file.write(text)


def _named(table: pd.DataFrame, section: str, key: str, names: list[str]) -> pd.DataFrame:
    table = table.reset_index(drop=True)
    table.insert(0, key, names)
    table.insert(0, "section", section)
    return table


def _cell_id(number: int) -> str:
    """Return a name as Xenium has them: eight hexadecimal digits, written as letters a to p."""
    return f"{number:08x}".translate(str.maketrans("0123456789abcdef", "abcdefghijklmnop")) + "-1"


def _barcode(number: int) -> str:
    """Return a name as Visium has them: sixteen bases."""
    return "".join("ACGT"[number >> 2 * place & 3] for place in reversed(range(16))) + "-1"
