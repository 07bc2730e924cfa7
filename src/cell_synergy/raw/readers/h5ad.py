"""Anybody's sections: one `.h5ad` of counts and one image of the same name beside it.

* `layers["counts"]`, or `X` without it: raw integer counts.
* `obs["donor"]`: the person or animal. `obs["section"]`: the section, where a file holds several on
  one image; without it the file is one section, named after it. Further columns are labels.
* `obsm["spatial"]`: x and y in pixels of the image (squidpy's convention), as an array, or as a
  data frame whose columns `x` and `y` are taken by name; `uns["mpp"]`: micrometres per pixel.
* Optional: `obsm["cell_type_ratio"]` (a data frame).

The image is `<name>.tif`, `.tiff`, `.ome.tif`, `.ome.tiff`, `.btf`, `.svs`, `.png`, `.jpg` or
`.jpeg`. A file of reference donors alone needs neither image nor `uns["mpp"]`.
"""

from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import sparse

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import as_names
from cell_synergy.data import anndata_files
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.external_files import IMAGES
from cell_synergy.raw.images import image_size
from cell_synergy.raw.sections.coordinates import keep_inside
from cell_synergy.raw.sections.count_matrix import as_counts
from cell_synergy.raw.sections.pixel_size import check_pitch
from cell_synergy.raw.sections.section import Section, check_section

_IMAGES = (*IMAGES, ".ome.tif", ".ome.tiff", ".ome.btf")


def read(raw: Path, dataset: DatasetConfig) -> Iterator[Section]:
    """Read every `.h5ad` under `raw`, in the order of their names."""
    tables = sorted(
        file
        for file in raw.iterdir()
        if file.suffix.lower() == ".h5ad"
        and not file.name.startswith(".")
        and (file.is_file() or file.is_dir())
    )
    if not tables:
        raise DataError(f"{raw}: no .h5ad file; put one there per image")
    origin: dict[str, Path] = {}
    for file in tables:
        for section in _sections(file, dataset):
            if section.name in origin:
                raise DataError(
                    f"{file}: section {section.name!r} is also in {origin[section.name]}; "
                    "give each section its own name in obs['section']"
                )
            origin[section.name] = file
            yield section


def _sections(file: Path, dataset: DatasetConfig) -> Iterator[Section]:
    table = anndata_files.read(file)
    if table.n_obs == 0:
        raise DataError(f"{file}: no units; leave the file out or give its counts")
    if len(twice := table.obs.columns[table.obs.columns.duplicated()]):
        raise DataError(f"{file}: obs column {twice[0]!r} occurs twice; keep one")
    counts = _counts(table, file)
    spatial = _spatial(table, file)
    donors = _column(table, "donor", file)
    names = (
        _column(table, "section", file)
        if "section" in table.obs
        else pd.Series(file.stem, index=table.obs.index)
    )
    groups = names if dataset.named == "section" else donors
    needed = any(dataset.role_of.get(group) != "reference" for group in groups.unique())
    image = _image(file, needed)
    mpp = None if image is None else _mpp(table, file)
    for name in names.unique():
        rows = (names == name).to_numpy()
        if len(owners := sorted(donors[rows].unique())) > 1:
            raise DataError(
                f"{file}, section {name}: several donors ({', '.join(owners)}); "
                "tell their sections apart in obs['section']"
            )
        part, placed, where = _units(table, counts, rows), None, f"{file}, section {name}"
        part.obsm["spatial"] = spatial[rows] * (mpp or 1.0)
        if image is not None and mpp is not None:
            part, placed = keep_inside(part, mpp, image_size(file.parent / image), "units", where)
            check_pitch(part.obsm["spatial"], dataset.unit_um, f"{where}, uns['mpp']")
        section = Section(name, owners[0], part, image, mpp, placed=placed)
        check_section(section, file)
        yield section


def _image(file: Path, needed: bool) -> Path | None:
    """Return the image that belongs to an `.h5ad`, relative to its folder."""
    wanted = {file.stem + suffix for suffix in _IMAGES}
    stem = file.stem
    found = sorted(
        path.name
        for path in file.parent.iterdir()
        if path.name.startswith(stem) and stem + path.name[len(stem) :].lower() in wanted
    )
    if not found and needed:
        raise DataError(
            f"{file}: no image beside it; put {file.stem}.tif (or {', '.join(_IMAGES[1:])}) there "
            "(reference donors alone need none)"
        )
    if len(found) > 1:
        raise DataError(
            f"{file}: {len(found)} images beside it ({', '.join(found)}); "
            "keep the one that obsm['spatial'] counts in"
        )
    return Path(found[0]) if found else None


def _counts(table: ad.AnnData, file: Path) -> sparse.csr_matrix:
    if "counts" in table.layers:
        return as_counts(table.layers["counts"], f"{file}: layers['counts']")
    if table.X is None:
        raise DataError(f"{file}: neither layers['counts'] nor X; store raw counts in one of them")
    counts = as_counts(table.X, f"{file}: X")
    if table.raw is not None and (counts.data != np.rint(counts.data)).any():
        raise DataError(
            f"{file}: X is not of integers; if raw.X has the raw counts, store them: "
            "adata = adata.raw.to_adata()"
        )
    return counts


def _mpp(table: ad.AnnData, file: Path) -> float:
    value = table.uns.get("mpp")
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


def _spatial(table: ad.AnnData, file: Path) -> Float64[np.ndarray, "obs 2"]:
    if "spatial" not in table.obsm:
        raise DataError(
            f"{file}: no obsm['spatial']{suggest('spatial', table.obsm)}; "
            "store x and y of each unit there, in pixels of the image"
        )
    given = table.obsm["spatial"]
    if isinstance(given, pd.DataFrame):
        named = {str(column).strip().lower(): column for column in given}
        if {"x", "y"} <= set(named):
            given = given[[named["x"], named["y"]]]
        elif any(isinstance(column, str) for column in given):
            raise DataError(
                f"{file}: obsm['spatial'] has the columns {', '.join(map(str, given))}; call them "
                "x and y"
            )
    remedy = "store two columns of numbers, x and y in pixels of the image"
    if np.iscomplexobj(given) or sparse.issparse(given):
        raise DataError(f"{file}: obsm['spatial'] is a sparse or complex matrix; {remedy}")
    try:
        place = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: obsm['spatial'] holds no places ({error}); {remedy}") from error
    if place.ndim != 2 or place.shape[1] != 2:  # noqa: PLR2004 - x and y
        raise DataError(f"{file}: obsm['spatial'] has shape {place.shape}; {remedy}")
    return place


def _column(table: ad.AnnData, column: str, file: Path) -> pd.Series:
    """Return an `obs` column as names, none of them missing."""
    if column not in table.obs:
        raise DataError(
            f"{file}: no obs column {column!r}{suggest(column, table.obs.columns)}; "
            f"add it with the {column} of each unit"
        )
    return as_names(table.obs[column], column, f"{file}: obs column {column!r}")


def _units(table: ad.AnnData, counts: sparse.csr_matrix, rows: np.ndarray) -> ad.AnnData:
    """Return some units with raw counts in `X`, labels, and the composition if there is one."""
    part = {}
    if (ratio := table.obsm.get("cell_type_ratio")) is not None:
        part["cell_type_ratio"] = (
            ratio.loc[rows] if isinstance(ratio, pd.DataFrame) else ratio[rows]
        )
    return ad.AnnData(
        counts[np.flatnonzero(rows)],
        obs=table.obs.loc[rows],
        var=pd.DataFrame(index=table.var_names),
        obsm=part,
    )
