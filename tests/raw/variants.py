"""Variants of a platform's files, and whether their pairs are those of its plainest form."""

import gzip
from typing import Any

import h5py
import numpy as np
import pandas as pd

NAMES = ("A1", "B1", "R1")
STEM = {"visium": "filtered_feature_bc_matrix", "xenium": "cell_feature_matrix"}
UNITS: dict[str, dict[str, dict[str, Any]]] = {
    "visium": {"spots": {}, "patches": {"side": 200.0, "least": 2, "keep_cells": False}},
    "xenium": {"cells": {}, "patches": {"least": 3, "keep_cells": True}},
}
ALL = [(reader, units) for reader, how in UNITS.items() for units in how]


def same(result, expected):
    for one, two in zip(result, expected, strict=True):
        assert one.obs_names.tolist() == two.obs_names.tolist()
        assert one.var_names.tolist() == two.var_names.tolist()
        np.testing.assert_array_equal(one.X.toarray(), two.X.toarray())
        np.testing.assert_array_equal(one.obsm["spatial"], two.obsm["spatial"])
        pd.testing.assert_frame_equal(one.obs, two.obs)
        assert one.uns["mpp"] == two.uns["mpp"]
        assert ("cells" in one.uns) == ("cells" in two.uns)
        if "cells" in one.uns:
            np.testing.assert_array_equal(one.uns["cells"]["unit"], two.uns["cells"]["unit"])
            counts = (table.uns["cells"]["counts"].toarray() for table in (one, two))
            np.testing.assert_array_equal(*counts)


def same_but_rounding(result, expected):
    """As `same`, with places that may differ in their last digit: the scale is a fit."""
    for one, two in zip(result, expected, strict=True):
        np.testing.assert_allclose(one.obsm["spatial"], two.obsm["spatial"], rtol=1e-9)
        one.obsm["spatial"] = two.obsm["spatial"]
        one.uns["mpp"] = two.uns["mpp"]
    same(result, expected)


def rename_genes(path, genes):
    with h5py.File(path, "r+") as file:
        own = file["matrix/features/name"][()].astype(object)
        own[: len(genes)] = [gene.encode() for gene in genes]
        del file["matrix/features/name"]
        file["matrix/features/name"] = own.astype("S")


def _parts(path):
    """Return barcodes, features (id, name, type) and features x barcodes of an HDF5 matrix."""
    with h5py.File(path) as file:
        group = file["matrix"]
        barcodes = [one.decode() for one in group["barcodes"][()]]
        features = [
            [word.decode() for word in row]
            for row in zip(*(group["features"][key][()] for key in ("id", "name", "feature_type")),
                           strict=True)
        ]  # fmt: skip
        columns = np.repeat(np.arange(len(barcodes)), np.diff(group["indptr"][()]))
        parts = group["indices"][()] + 1, columns + 1, group["data"][()]
        entries = list(zip(*(part.tolist() for part in parts), strict=True))
    return barcodes, features, entries


def mex(folder, stem, zipped=True, prefix="", loose=False, columns=3, field="integer", edit=None):
    """Write the HDF5 matrix of a section as text in its place."""
    path = folder / f"{stem}.h5"
    barcodes, features, entries = _parts(path)
    path.unlink()
    place = folder if loose else folder / f"{prefix}{stem}"
    place.mkdir(exist_ok=True)
    number = "{}.0" if field == "real" else "{}"
    head = [f"%%MatrixMarket matrix coordinate {field} general", '%metadata_json: {"x": 1}',
            f"{len(features)} {len(barcodes)} {len(entries)}"]  # fmt: skip
    text = {
        "matrix.mtx": head
        + [f"{row} {column} {number.format(value)}" for row, column, value in entries],
        "barcodes.tsv": barcodes,
        "features.tsv" if columns == 3 else "genes.tsv": [
            "\t".join(row[:columns]) for row in features
        ],
    }
    if edit is not None:
        edit(text)
    for name, lines in text.items():
        content = "".join(f"{line}\n" for line in lines).encode()
        start = prefix if loose else ""
        if zipped:
            (place / f"{start}{name}.gz").write_bytes(gzip.compress(content))
        else:
            (place / f"{start}{name}").write_bytes(content)
