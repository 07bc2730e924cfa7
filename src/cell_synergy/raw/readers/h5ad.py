"""A user's sections: in one folder, each `.h5ad` of counts with an image of equal name.

* `layers["counts"]`, or `X` without it: raw integer counts.
* `obs["donor"]`: the person or animal. `obs["section"]`: the section, if a file has several on one
  image; without this column the file is one section, named like the file. Other columns are labels.
* `obsm["spatial"]`: x and y in pixels of the image (squidpy's convention), as an array, or as a
  data frame with columns called `x` and `y`, or as Xenium, Space Ranger or Seurat name them;
  `uns["mpp"]`: micrometres per pixel.
* Optional: `obsm["cell_type_ratio"]` (a data frame).

The image is `<name>.tif`, `.tiff`, `.ome.tif`, `.ome.tiff`, `.btf`, `.svs`, `.png`, `.jpg` or
`.jpeg`. A file of reference donors alone needs neither an image nor `uns["mpp"]`.
"""

from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import as_names
from cell_synergy.core.messages import suggest
from cell_synergy.data import anndata_files
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.external_files import IMAGES
from cell_synergy.raw.images import image_size
from cell_synergy.raw.sections.coordinates import drop_outside_image, spatial_coords
from cell_synergy.raw.sections.count_matrix import as_counts
from cell_synergy.raw.sections.pixel_size import check_pitch
from cell_synergy.raw.sections.section import Section, check_section

_IMAGE_SUFFIXES = (*IMAGES, ".ome.tif", ".ome.tiff", ".ome.btf")


def read(raw: Path, dataset: DatasetConfig) -> Iterator[Section]:
    """Yield the sections of every `.h5ad` in a folder, in the order of the file names.

    Raises
    ------
    DataError
        If there is no file, one cannot be read or lacks a part that this module's docstring
        requires, two sections have one name, a section has several donors, or a section is invalid.
    """
    files = sorted(
        file
        for file in raw.iterdir()
        if file.suffix.lower() == ".h5ad"
        and not file.name.startswith(".")
        and (file.is_file() or file.is_dir())
    )
    if not files:
        raise DataError(f"{raw}: no .h5ad file; put one there per image")
    file_of: dict[str, Path] = {}
    for file in files:
        for section in _read_file(file, dataset):
            if section.name in file_of:
                raise DataError(
                    f"{file}: section {section.name!r} is also in {file_of[section.name]}; "
                    "give each section its own name in obs['section']"
                )
            file_of[section.name] = file
            yield section


def _read_file(file: Path, dataset: DatasetConfig) -> Iterator[Section]:
    """Yield the sections of one file."""
    adata = anndata_files.read(file)
    if adata.n_obs == 0:
        raise DataError(f"{file}: no observations; leave the file out or give its counts")
    if len(duplicates := adata.obs.columns[adata.obs.columns.duplicated()]):
        raise DataError(f"{file}: obs column {duplicates[0]!r} occurs twice; keep one")
    counts = _raw_counts(adata, file)
    coords = _pixel_coords(adata, file)
    donors = _name_column(adata, "donor", file)
    if "section" in adata.obs:
        names = _name_column(adata, "section", file)
    else:
        names = pd.Series(file.stem, index=adata.obs.index)
    groups = names if dataset.grouping == "section" else donors
    image_needed = any(dataset.role_of.get(group) != "reference" for group in groups.unique())
    image = _find_image(file, image_needed)
    mpp = None if image is None else _read_mpp(adata, file)
    for name in names.unique():
        rows = (names == name).to_numpy()
        if len(section_donors := sorted(donors[rows].unique())) > 1:
            raise DataError(
                f"{file}, section {name}: several donors ({', '.join(section_donors)}); "
                "name their sections differently in obs['section']"
            )
        part, coverage, where = _select(adata, counts, rows), None, f"{file}, section {name}"
        part.obsm["spatial"] = coords[rows] if mpp is None else coords[rows] * mpp
        if image is not None and mpp is not None:
            size = image_size(file.parent / image)
            part, coverage = drop_outside_image(part, mpp, size, "observations", where)
            check_pitch(part.obsm["spatial"], dataset.unit_um, f"{where}, uns['mpp']")
        section = Section(name, section_donors[0], part, image, mpp, coverage=coverage)
        check_section(section, file)
        yield section


def _find_image(file: Path, needed: bool) -> Path | None:
    """Return the image beside an `.h5ad`, relative to their folder; None if there is none."""
    accepted = {file.stem + suffix for suffix in _IMAGE_SUFFIXES}
    stem = file.stem
    images = sorted(
        path.name
        for path in file.parent.iterdir()
        if path.name.startswith(stem) and stem + path.name[len(stem) :].lower() in accepted
    )
    if not images and needed:
        raise DataError(
            f"{file}: no image beside it; put {file.stem}.tif (or {', '.join(_IMAGE_SUFFIXES[1:])})"
            " there (reference donors alone need none)"
        )
    if len(images) > 1:
        raise DataError(
            f"{file}: {len(images)} images beside it ({', '.join(images)}); keep the one in whose "
            "pixels obsm['spatial'] is given"
        )
    return Path(images[0]) if images else None


def _raw_counts(adata: ad.AnnData, file: Path) -> sparse.csr_matrix:
    if "counts" in adata.layers:
        return as_counts(adata.layers["counts"], f"{file}: layers['counts']")
    if adata.X is None:
        raise DataError(f"{file}: neither layers['counts'] nor X; store raw counts in one of them")
    counts = as_counts(adata.X, f"{file}: X")
    if adata.raw is not None and (counts.data != np.rint(counts.data)).any():
        raise DataError(
            f"{file}: X does not hold integers; if raw.X has the raw counts, store them: "
            "adata = adata.raw.to_adata()"
        )
    return counts


def _read_mpp(adata: ad.AnnData, file: Path) -> float:
    value = adata.uns.get("mpp")
    remedy = "set adata.uns['mpp'] to the micrometres per pixel of the image, for example 0.5"
    if value is None:
        raise DataError(f"{file}: no uns['mpp']; {remedy}")
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    try:
        mpp = np.nan if isinstance(value, bool | np.bool_) else float(value)
    except (TypeError, ValueError):
        mpp = np.nan
    if not (np.isfinite(mpp) and mpp > 0):
        raise DataError(f"{file}: uns['mpp'] is {value!r}; {remedy}")
    return mpp


def _pixel_coords(adata: ad.AnnData, file: Path) -> np.ndarray:
    if "spatial" not in adata.obsm:
        raise DataError(
            f"{file}: no obsm['spatial']{suggest('spatial', adata.obsm)}; "
            "store x and y of each observation there, in pixels of the image"
        )
    return spatial_coords(adata, str(file))


def _name_column(adata: ad.AnnData, column: str, file: Path) -> pd.Series:
    """Return an `obs` column of names, such as donors; refuse missing and misspelt names."""
    if column not in adata.obs:
        raise DataError(
            f"{file}: no obs column {column!r}{suggest(column, adata.obs.columns)}; "
            f"add it with the {column} of each observation"
        )
    return as_names(adata.obs[column], column, f"{file}: obs column {column!r}")


def _select(adata: ad.AnnData, counts: sparse.csr_matrix, rows: np.ndarray) -> ad.AnnData:
    """Return the observations in `rows`: raw counts, labels, and composition if there is one."""
    obsm = {}
    if (ratio := adata.obsm.get("cell_type_ratio")) is not None:
        obsm["cell_type_ratio"] = (
            ratio.loc[rows] if isinstance(ratio, pd.DataFrame) else ratio[rows]
        )
    return ad.AnnData(
        counts[np.flatnonzero(rows)],
        obs=adata.obs.loc[rows],
        var=pd.DataFrame(index=adata.var_names),
        obsm=obsm,
    )
