"""What every section must satisfy, whatever reader it comes from."""

from pathlib import Path

import numpy as np
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.data.readers import Section
from cell_synergy.data.units.composition import shares_of

_SLACK = 0.5  # pixels: micrometres and back do not return the exact border


def check_section(section: Section, source: Path, size: tuple[int, int] | None) -> None:
    """Refuse a section whose counts or coordinates cannot be right.

    Parameters
    ----------
    section
        As a reader is about to return it.
    source
        The file to name in messages.
    size
        Width and height of its image in pixels; None for a section without one.

    Raises
    ------
    DataError
        If unit or gene names repeat, a count is missing, negative or no integer, the donor is
        empty, a coordinate is not finite or outside the image, or proportions are malformed.
    """
    where = f"{source}, section {section.name}"
    if not section.donor.strip():
        raise DataError(f"{where}: the donor is empty; name the donor of every section")
    if section.counts.n_obs == 0:
        raise DataError(f"{where}: no units; leave the file out")
    _check_names(section, where)
    _check_counts(section, where)
    _check_coordinates(section, where, size)
    _check_proportions(section, where)


def _check_names(section: Section, where: str) -> None:
    axes = (("unit", section.counts.obs_names), ("gene", section.counts.var_names))
    for what, index in axes:
        if twice := sorted(set(index[index.duplicated()].astype(str))):
            raise DataError(
                f"{where}: {len(twice)} {what} names occur more than once (e.g. {twice[0]!r}); "
                "make them unique"
            )


def _check_counts(section: Section, where: str) -> None:
    counts = sparse.csr_matrix(section.counts.X)
    right = (counts.data >= 0) & np.isfinite(counts.data) & (counts.data == np.rint(counts.data))
    if not right.all():
        first = int(np.flatnonzero(~right)[0])
        unit = section.counts.obs_names[int(np.searchsorted(counts.indptr, first, "right")) - 1]
        gene = section.counts.var_names[counts.indices[first]]
        raise DataError(
            f"{where}: {int((~right).sum())} counts are missing, negative or no integers "
            f"(e.g. {counts.data[first]} of gene {gene!r} in unit {unit!r}); "
            "give raw counts, not normalised values"
        )


def _check_coordinates(section: Section, where: str, size: tuple[int, int] | None) -> None:
    place = np.asarray(section.counts.obsm["spatial"], dtype=np.float64)
    if place.shape != (section.counts.n_obs, 2):
        raise DataError(
            f"{where}: obsm['spatial'] has shape {place.shape}; it needs two columns, x and y"
        )
    finite = np.isfinite(place).all(axis=1)
    if not finite.all():
        unit = section.counts.obs_names[int(np.flatnonzero(~finite)[0])]
        raise DataError(
            f"{where}: {int((~finite).sum())} units have coordinates that are not finite "
            f"(e.g. {unit!r}); drop these units or give their place"
        )
    if size is None or section.mpp is None:
        return
    pixels = place / section.mpp
    outside = ((pixels < -_SLACK) | (pixels > np.array(size) + _SLACK)).any(axis=1)
    if outside.any():
        x, y = pixels[int(np.flatnonzero(outside)[0])]
        raise DataError(
            f"{where}: {int(outside.sum())} of {len(place)} units lie outside the image "
            f"{section.image} of {size[0]} x {size[1]} pixels (e.g. at {x:.0f}, {y:.0f}); counts "
            "and image do not belong together, or the coordinates are not its pixels"
        )


def _check_proportions(section: Section, where: str) -> None:
    if "cell_type_ratio" not in section.counts.obsm:
        return
    shares_of(section.counts.obsm["cell_type_ratio"], f"{where}: obsm['cell_type_ratio']")
