"""A tissue section as every reader returns it, and what it must satisfy."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from anndata import AnnData
from scipy import sparse

from cell_synergy.core.errors import DataError
from cell_synergy.data.composition import shares_of
from cell_synergy.raw.sections.coordinates import Placed, finite

_EXACT = 2**24  # up to which float32 holds every integer


@dataclass(frozen=True)
class Section:
    """One tissue section as a reader returns it.

    Attributes
    ----------
    name, donor
        Section and the person or animal that it came from.
    counts
        Units x genes, raw counts in `X` (CSR, float32). `obs_names` are unique within the section;
        `obs` holds one column per label; `obsm["spatial"]` is in micrometres in the frame of the
        image (x to the right, y down, origin at the image's top left corner);
        `obsm["cell_type_ratio"]` is a data frame where composition is known.
    image
        The H&E image, relative to the raw folder; None for sections without one.
    mpp
        Micrometres per pixel of that image; None without one.
    cells
        Cells x genes, raw counts (CSR, float32) of the cells inside units; `obs["unit"]` is the
        name of their unit, whose counts are the sum over its cells. None where a unit is not made
        of cells.
    placed
        How many observations were measured, and how many of them lay outside the image and are not
        in `counts`; None without an image.
    """

    name: str
    donor: str
    counts: AnnData
    image: Path | None
    mpp: float | None
    cells: AnnData | None = None
    placed: Placed | None = None


def check_section(section: Section, source: Path) -> None:
    """Refuse a section whose counts or coordinates cannot be right.

    Parameters
    ----------
    section
        As a reader is about to return it.
    source
        The file to name in messages.

    Raises
    ------
    DataError
        If there are no units, genes or counts, unit or gene names repeat or are empty, a count is
        missing, negative, no integer or too large, the donor is empty, a coordinate is not finite,
        all are one place, or proportions are malformed.
    """
    where = f"{source}, section {section.name}"
    if not section.donor.strip():
        raise DataError(f"{where}: the donor is empty; name the donor of every section")
    for what, count in (("units", section.counts.n_obs), ("genes", section.counts.n_vars)):
        if count == 0:
            raise DataError(f"{where}: no {what}; leave the section out or give its counts")
    _check_names(section, where)
    _check_counts(section, where)
    place = finite(section.counts, where)
    if len(place) > 1 and not np.ptp(place, axis=0).any():
        raise DataError(f"{where}: all {len(place)} units lie at one place; give each its own")
    _check_proportions(section, where)


def _check_names(section: Section, where: str) -> None:
    axes = (("unit", section.counts.obs_names), ("gene", section.counts.var_names))
    for what, index in axes:
        if (empty := index.astype(str).str.strip() == "").any():
            raise DataError(
                f"{where}: {int(empty.sum())} {what} names are empty; name every {what}"
            )
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
    if not counts.data.any():
        raise DataError(f"{where}: all counts are 0; give raw counts, or leave the section out")
    if (largest := counts.data.max()) >= _EXACT:
        raise DataError(
            f"{where}: a count of {largest:.0f} is no count of molecules, and above {_EXACT:,} "
            "counts are not kept exactly; give raw counts"
        )


def _check_proportions(section: Section, where: str) -> None:
    if "cell_type_ratio" not in section.counts.obsm:
        return
    shares_of(section.counts.obsm["cell_type_ratio"], f"{where}: obsm['cell_type_ratio']")
