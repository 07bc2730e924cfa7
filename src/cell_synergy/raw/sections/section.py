"""A tissue section as every reader returns it, and the checks of its validity."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from anndata import AnnData
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.data.composition import as_shares
from cell_synergy.raw.sections.coordinates import ImageCoverage, spatial_coords

_MAX_COUNT = 2**24  # float32 represents every integer up to here


@dataclass(frozen=True)
class Section:
    """One tissue section as a reader returns it.

    Attributes
    ----------
    name, donor
        Name of the section, and of the person or animal from which it was taken.
    adata
        Observations x genes, raw counts in `X` (CSR, float32). `obs_names` are unique within the
        section; `obs` has one column per label; `obsm["spatial"]` is in micrometres in the frame of
        the image (x to the right, y down, origin at the image's top left corner);
        `obsm["cell_type_ratio"]` is a data frame of cell-type proportions, where they are given.
    image
        Path of the H&E image, relative to the raw folder; None for a section without an image.
    mpp
        Micrometres per pixel of that image; None without an image.
    cells
        Cells x genes, raw counts (CSR, float32) of the cells inside the observations;
        `obs["unit"]` names the observation of a cell, whose counts are the sum over its cells.
        None where observations are not made of cells.
    coverage
        Number of measured observations, and of those that were dropped as outside the image; None
        without an image.
    """

    name: str
    donor: str
    adata: AnnData
    image: Path | None
    mpp: float | None
    cells: AnnData | None = None
    coverage: ImageCoverage | None = None


def check_section(section: Section, source: Path) -> None:
    """Refuse a section with invalid names, counts, coordinates or cell-type proportions.

    Parameters
    ----------
    section
        The section as a reader has assembled it.
    source
        The file, for messages.

    Raises
    ------
    DataError
        If there are no observations, genes or counts; if names of observations or genes repeat or
        are empty; if a count is missing, negative, not an integer or too large; if the donor is
        empty; if a coordinate is not finite or all are equal; or if proportions are malformed.
    """
    where = f"{source}, section {section.name}"
    if not section.donor.strip():
        raise DataError(f"{where}: the donor is empty; name the donor of every section")
    sizes = (("observations", section.adata.n_obs), ("genes", section.adata.n_vars))
    for axis, size in sizes:
        if size == 0:
            raise DataError(f"{where}: no {axis}; leave the section out or give its counts")
    _check_names(section, where)
    _check_counts(section, where)
    coords = spatial_coords(section.adata, where)
    if len(coords) > 1 and not np.ptp(coords, axis=0).any():
        raise DataError(
            f"{where}: all {len(coords)} observations have the same coordinates; give each its own"
        )
    if "cell_type_ratio" in section.adata.obsm:
        as_shares(section.adata.obsm["cell_type_ratio"], f"{where}: obsm['cell_type_ratio']")


def _check_names(section: Section, where: str) -> None:
    axes = (("observation", section.adata.obs_names), ("gene", section.adata.var_names))
    for axis, index in axes:
        if (empty := index.astype(str).str.strip() == "").any():
            raise DataError(
                f"{where}: {int(empty.sum())} {axis} names are empty; name every {axis}"
            )
        if duplicates := sorted(set(index[index.duplicated()].astype(str))):
            raise DataError(
                f"{where}: {len(duplicates)} {axis} names occur more than once (e.g. "
                f"{duplicates[0]!r}); make them unique"
            )


def _check_counts(section: Section, where: str) -> None:
    counts = sparse.csr_matrix(section.adata.X)
    valid = (counts.data >= 0) & np.isfinite(counts.data) & (counts.data == np.rint(counts.data))
    if not valid.all():
        first = int(np.flatnonzero(~valid)[0])
        row = int(np.searchsorted(counts.indptr, first, "right")) - 1
        gene = section.adata.var_names[counts.indices[first]]
        raise DataError(
            f"{where}: {int((~valid).sum())} counts are missing, negative or not integers "
            f"(e.g. {counts.data[first]} of gene {gene!r} in observation "
            f"{section.adata.obs_names[row]!r}); give raw counts, not normalised values"
        )
    if not counts.data.any():
        raise DataError(f"{where}: all counts are 0; give raw counts, or leave the section out")
    if (largest := counts.data.max()) >= _MAX_COUNT:
        raise DataError(
            f"{where}: a count of {largest:.0f} is not a count of molecules, and above "
            f"{_MAX_COUNT:,} counts are not represented exactly; give raw counts"
        )
