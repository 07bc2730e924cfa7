"""Anybody's sections: one `.h5ad` of counts and one image of the same name beside it.

* `layers["counts"]`, or `X` without it: raw integer counts.
* `obs["donor"]`: the person or animal. `obs["section"]`: the section, where a file holds several on
  one image; without it the file is one section, named after it. Further columns are labels.
* `obsm["spatial"]`: x and y in pixels of the image (squidpy's convention); `uns["mpp"]`:
  micrometres per pixel.
* Optional: `obsm["cell_type_ratio"]` (a data frame).

The image is `<name>.tif`, `.tiff`, `.ome.tif`, `.ome.tiff`, `.png`, `.jpg` or `.jpeg`.
"""

from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.data.checks import check_section
from cell_synergy.data.images import image_size
from cell_synergy.data.readers import Section
from cell_synergy.data.units.dataset import Dataset

_IMAGES = (".tif", ".tiff", ".ome.tif", ".ome.tiff", ".png", ".jpg", ".jpeg")


def read(raw: Path, dataset: Dataset) -> Iterator[Section]:  # noqa: ARG001 - every reader's signature
    """Read every `.h5ad` under `raw`, in the order of their names."""
    files = sorted(file for file in raw.glob("*.h5ad") if not file.name.startswith("."))
    if not files:
        raise DataError(f"{raw}: no .h5ad file; put one there per image")
    origin: dict[str, Path] = {}
    for file in files:
        for section in _sections(file):
            if section.name in origin:
                raise DataError(
                    f"{file}: section {section.name!r} is also in {origin[section.name]}; "
                    "give each section its own name in obs['section']"
                )
            origin[section.name] = file
            yield section


def _sections(file: Path) -> Iterator[Section]:
    image = _image(file)
    size = image_size(image)
    table = _open(file)
    if table.X is None and "counts" not in table.layers:
        raise DataError(f"{file}: neither layers['counts'] nor X; store raw counts in one of them")
    mpp = _mpp(table, file)
    spatial = _spatial(table, file)
    donors = _column(table, "donor", file)
    names = (
        _column(table, "section", file)
        if "section" in table.obs
        else pd.Series(file.stem, index=table.obs.index)
    )
    for name in names.unique():
        rows = (names == name).to_numpy()
        if len(owners := sorted(donors[rows].unique())) > 1:
            raise DataError(
                f"{file}, section {name}: several donors ({', '.join(owners)}); "
                "tell their sections apart in obs['section']"
            )
        counts = _units(table, rows)
        counts.obsm["spatial"] = spatial[rows] * mpp
        section = Section(name, owners[0], counts, Path(image.name), mpp)
        check_section(section, file, size)
        yield section


def _image(file: Path) -> Path:
    """Return the image that belongs to an `.h5ad`."""
    wanted = {file.stem + suffix for suffix in _IMAGES}
    stem = file.stem
    found = sorted(
        path
        for path in file.parent.iterdir()
        if path.name.startswith(stem) and stem + path.name[len(stem) :].lower() in wanted
    )
    if not found:
        raise DataError(
            f"{file}: no image beside it; put {file.stem}.tif (or {', '.join(_IMAGES[1:])}) there"
        )
    if len(found) > 1:
        raise DataError(
            f"{file}: {len(found)} images beside it ({', '.join(path.name for path in found)}); "
            "keep the one that obsm['spatial'] counts in"
        )
    return found[0]


def _open(file: Path) -> ad.AnnData:
    try:
        return ad.read_h5ad(file)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{file}: not a readable .h5ad ({error}); write it again") from error


def _mpp(table: ad.AnnData, file: Path) -> float:
    value = table.uns.get("mpp")
    remedy = "set adata.uns['mpp'] to the micrometres per pixel of the image, for example 0.5"
    if value is None:
        raise DataError(f"{file}: no uns['mpp']; {remedy}")
    try:
        mpp = float(value)
    except (TypeError, ValueError):
        mpp = np.nan
    if not (np.isfinite(mpp) and mpp > 0):
        raise DataError(f"{file}: uns['mpp'] is {value!r}; {remedy}")
    return mpp


def _spatial(table: ad.AnnData, file: Path) -> np.ndarray:
    if "spatial" not in table.obsm:
        raise DataError(
            f"{file}: no obsm['spatial']{suggest('spatial', table.obsm)}; "
            "store x and y of each unit there, in pixels of the image"
        )
    return np.asarray(table.obsm["spatial"], dtype=np.float64)


def _column(table: ad.AnnData, column: str, file: Path) -> pd.Series:
    """Return an `obs` column as words, none of them empty."""
    if column not in table.obs:
        raise DataError(
            f"{file}: no obs column {column!r}{suggest(column, table.obs.columns)}; "
            f"add it with the {column} of each unit"
        )
    words: pd.Series = table.obs[column].astype(object)
    empty = words.isna() | (words.astype(str).str.strip() == "")
    if empty.any():
        raise DataError(
            f"{file}: obs column {column!r} is empty for {int(empty.sum())} of {len(words)} units "
            f"(e.g. {words.index[int(empty.to_numpy().argmax())]!r}); fill it"
        )
    return words.astype(str)


def _units(table: ad.AnnData, rows: np.ndarray) -> ad.AnnData:
    """Return some units with raw counts in `X`, labels, and the composition if there is one."""
    source = table.layers.get("counts", table.X)
    part = {key: table.obsm[key].loc[rows] for key in ("cell_type_ratio",) if key in table.obsm}
    return ad.AnnData(
        sparse.csr_matrix(source, dtype=np.float32)[np.flatnonzero(rows)],
        obs=table.obs.loc[rows],
        var=pd.DataFrame(index=table.var_names),
        obsm=part,
    )
