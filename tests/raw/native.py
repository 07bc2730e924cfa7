"""Sections in the true layouts of 10x and HEST-1k, small enough to be written by a test."""

import gzip
import json

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import tifffile
from scipy import io, sparse

from cell_synergy.raw import readers

MPP = 0.5
SIZE = (600, 400)  # pixels: 300 x 200 um
VISIUM_MPP = 2.0  # so that a small image holds enough spots
GENES = ["ACTB", "CD3E", "KRT5", "COL1A1", "MKI67", "PTPRC"]
CONTROLS = {"NegControlProbe_00042": "Negative Control Probe", "BLANK_0001": "Unassigned Codeword"}
PIXEL_UM = 0.2125
# From H&E to morphology pixels: a quarter turn, a scale, a shift.
ALIGNMENT = np.array([[0, MPP / PIXEL_UM, 100], [-MPP / PIXEL_UM, 0, 3000], [0, 0, 1]])


def one(folder, dataset):
    """Read the only section of a folder."""
    (section,) = readers.read(folder, dataset)
    return section


def tissue(count, seed=0, margin=5):
    """Return places in pixels of the image, and counts of genes."""
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(margin, np.array(SIZE) - margin, (count, 2))
    return pixels, rng.poisson(2.0, (count, len(GENES))).astype(np.int32)


def image(path, size=SIZE):
    """Write a tiled, JPEG-free TIFF of tissue."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(90, 190, (size[1], size[0], 3)).astype(np.uint8)
    tifffile.imwrite(path, pixels, tile=(128, 128), photometric="rgb")


def matrix(folder, name, barcodes, counts, genes=GENES, controls=None, folded=False):
    """Write a feature-barcode matrix, with controls of five counts each."""
    controls = controls or {}
    features = [*genes, *controls]
    types = ["Gene Expression"] * len(genes) + list(controls.values())
    ids = [f"ENSG{i:011d}" for i in range(len(features))]
    wide = np.hstack([counts, np.full((len(counts), len(controls)), 5, counts.dtype)])
    by_feature = sparse.csc_matrix(wide.T)
    folder.mkdir(parents=True, exist_ok=True)
    if folded:
        (folder / name).mkdir()
        with gzip.open(folder / name / "matrix.mtx.gz", "wb") as file:
            io.mmwrite(file, by_feature.tocoo(), field="integer")
        rows = ["\t".join(row) for row in zip(ids, features, types, strict=True)]
        for part, lines in (("features", rows), ("barcodes", barcodes)):
            text = "".join(f"{line}\n" for line in lines).encode()
            (folder / name / f"{part}.tsv.gz").write_bytes(gzip.compress(text))
        return
    with h5py.File(folder / f"{name}.h5", "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(barcodes, dtype="S")
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(by_feature, part)
        group["shape"] = np.array(by_feature.shape, dtype=np.int32)
        table = group.create_group("features")
        table["_all_tag_keys"] = np.array([b"genome"])
        table["id"], table["name"] = np.array(ids, dtype="S"), np.array(features, dtype="S")
        table["feature_type"] = np.array(types, dtype="S")
        table["genome"] = np.array(["GRCh38"] * len(ids), dtype="S")


def visium(folder, seed=0, header=True, outs=True, folded=False):
    """Write a Visium section whose array is turned by 30 degrees; return places and counts."""
    base = folder / "outs" if outs else folder
    row, column = (part.ravel() for part in np.mgrid[0:78, 0:128])
    here = (row + column) % 2 == 0
    row, column = row[here], column[here]
    turn = np.deg2rad(30)
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    um = np.column_stack([column * 50.0, row * 50.0 * np.sqrt(3)])
    pixels = (um - [3200, 3400]) @ turned / VISIUM_MPP + np.array(SIZE) / 2
    inside = ((pixels > 20) & (pixels < np.array(SIZE) - 20)).all(axis=1)
    barcodes = np.array([f"{i:016d}-1" for i in range(len(row))])
    counts = tissue(int(inside.sum()), seed)[1]
    matrix(base, "filtered_feature_bc_matrix", barcodes[inside], counts, folded=folded)
    table = pd.DataFrame({
        "barcode": barcodes, "in_tissue": inside.astype(int), "array_row": row,
        "array_col": column, "pxl_row_in_fullres": pixels[:, 1], "pxl_col_in_fullres": pixels[:, 0],
    })  # fmt: skip
    (base / "spatial").mkdir()
    name = "tissue_positions.csv" if header else "tissue_positions_list.csv"
    table.to_csv(base / "spatial" / name, index=False, header=header)
    image(folder / "he.tif")
    return barcodes[inside], pixels[inside], counts


def visium_hd(folder, seed=0, bin_um=8):
    """Write a Visium HD section of one bin size; return barcodes, places and counts."""
    base = folder / "binned_outputs" / f"square_{bin_um:03d}um"
    step = bin_um / MPP
    across, down = (int(size // step) for size in SIZE)
    row, column = (part.ravel() for part in np.mgrid[0:down, 0:across])
    pixels = (np.column_stack([column, row]) + 0.5) * step
    barcodes = [f"s_{bin_um:03d}um_{r:05d}_{c:05d}-1" for r, c in zip(row, column, strict=True)]
    counts = tissue(len(row), seed)[1]
    matrix(base, "filtered_feature_bc_matrix", barcodes, counts)
    (base / "spatial").mkdir()
    pd.DataFrame({
        "barcode": barcodes, "in_tissue": 1, "array_row": row, "array_col": column,
        "pxl_row_in_fullres": pixels[:, 1], "pxl_col_in_fullres": pixels[:, 0],
    }).to_parquet(base / "spatial" / "tissue_positions.parquet")  # fmt: skip
    scales = {"bin_size_um": bin_um, "microns_per_pixel": MPP, "spot_diameter_fullres": step}
    (base / "spatial" / "scalefactors_json.json").write_text(json.dumps(scales))
    image(folder / "he.tif")
    return barcodes, pixels, counts


def xenium(folder, seed=0, cells=300, packed=True, folded=False):
    """Write a Xenium section; return cell ids, places in the H&E image, and counts."""
    pixels, counts = tissue(cells, seed)
    names = [f"aaaa{i:04d}-1" for i in range(cells)]
    matrix(folder, "cell_feature_matrix", names, counts, controls=CONTROLS, folded=folded)
    morphology = np.column_stack([pixels, np.ones(cells)]) @ ALIGNMENT.T
    table = pd.DataFrame({
        "cell_id": names, "x_centroid": morphology[:, 0] * PIXEL_UM,
        "y_centroid": morphology[:, 1] * PIXEL_UM, "transcript_counts": counts.sum(axis=1),
    })  # fmt: skip
    table = table.iloc[::-1]  # matrix and table need not be in one order
    if packed:
        table.to_parquet(folder / "cells.parquet", index=False)
    else:
        table.to_csv(folder / "cells.csv.gz", index=False)
    specs = {"major_version": 6, "minor_version": 0, "pixel_size": PIXEL_UM,
             "analysis_sw_version": "xenium-2.0.0.10"}  # fmt: skip
    (folder / "experiment.xenium").write_text(json.dumps(specs))
    np.savetxt(folder / "section_he_imagealignment.csv", ALIGNMENT, delimiter=",")
    image(folder / "section_he_image.ome.tif")
    image(folder / "morphology.ome.tif", (64, 64))
    return names, pixels, counts


def hest(root, name, seed=0, cells=300, transcripts=True):
    """Write a section of HEST-1k; return names, places and counts of its cells."""
    pixels, counts = tissue(cells, seed)
    counts[:, 0] += 1  # every cell has a transcript
    names = [f"cell{i:04d}" for i in range(cells)]
    image(root / "wsis" / f"{name}.tif")
    for part in ("metadata", "st", "transcripts"):
        (root / part).mkdir(exist_ok=True)
    meta = {"id": name, "pixel_size_um_estimated": MPP, "st_technology": "Xenium"}
    (root / "metadata" / f"{name}.json").write_text(json.dumps(meta))
    spots = ad.AnnData(
        sparse.csr_matrix(np.hstack([counts[:40], counts[:40, :1]]).astype(np.float32)),
        obs=pd.DataFrame(index=[f"{i:03d}x000" for i in range(40)]),
        var=pd.DataFrame(index=[*GENES, "NegControlProbe_00042"]),
        obsm={"spatial": pixels[:40]},
    )
    spots.write_h5ad(root / "st" / f"{name}.h5ad")
    if transcripts:
        _transcripts(root / "transcripts" / f"{name}_transcripts.parquet", names, pixels, counts)
    return names, pixels, counts


def drop_column(path, column):
    """Write a Parquet table again without a column."""
    pd.read_parquet(path).drop(columns=column).to_parquet(path)


def _transcripts(path, names, pixels, counts):
    """Write one row per count, and rows that do not count, in an order of no meaning."""
    cell, gene = (np.repeat(index, counts[counts > 0]) for index in np.nonzero(counts))
    table = pd.DataFrame({
        "cell_id": np.array(names)[cell], "feature_name": np.array(GENES)[gene],
        "he_x": pixels[cell, 0], "he_y": pixels[cell, 1], "qv": 30.0,
    })  # fmt: skip
    idle = table.iloc[:30].assign(he_x=0.0)
    parts = [
        table, idle.assign(cell_id="UNASSIGNED"), idle.assign(cell_id=None), idle.assign(qv=19.9),
        idle.assign(feature_name="NegControlProbe_00042"), idle.assign(feature_name="BLANK_0001"),
    ]  # fmt: skip
    whole = pd.concat(parts).sample(frac=1, random_state=0)
    whole["is_gene"] = whole["feature_name"].isin(GENES)
    whole.to_parquet(path, index=False)
