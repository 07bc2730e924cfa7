"""Readers, one per source format: the file's name is the `reader` of a data set in params.yaml."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from anndata import AnnData

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.data.sections.placement import Placed
from cell_synergy.data.sources import located
from cell_synergy.data.units.dataset import Dataset


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


def names() -> list[str]:
    """Return the name of every reader."""
    return [module.name for module in iter_modules(__path__)]


def read(raw: Path, dataset: Dataset) -> Iterator[Section]:
    """Read every section under the folder `raw`, or where it says that the files are.

    Raises
    ------
    DataError
        If a file that stays in its own place is not what it was when `download` recorded it.
    """
    if dataset.reader not in names():
        raise DataError(f"no reader {dataset.reader!r}{suggest(dataset.reader, names())}")
    root = located(raw)
    sections: Iterator[Section] = import_module(f"{__name__}.{dataset.reader}").read(root, dataset)
    return sections if root == raw else (_in_place(section, root) for section in sections)


def _in_place(section: Section, root: Path) -> Section:
    """Give the image by its whole path, which stages join to the raw folder without effect."""
    return section if section.image is None else replace(section, image=root / section.image)
