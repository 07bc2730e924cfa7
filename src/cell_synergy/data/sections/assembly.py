"""What a platform measured, made into the sections that a data set asks for."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import anndata as ad
import numpy as np
from jaxtyping import Bool, Float64
from tqdm import tqdm

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.data.checks import check_section
from cell_synergy.data.readers import Section
from cell_synergy.data.sections.labels import Labels, join, read_labels, shares
from cell_synergy.data.sections.patches import gather
from cell_synergy.data.units.dataset import Dataset, Sections


@dataclass(frozen=True)
class Measured:
    """What a platform measured in one section.

    Attributes
    ----------
    what
        Spots (or bins), or cells.
    table
        Spots or cells x genes, raw counts; `obsm["spatial"]` in micrometres from the top left
        corner of the image.
    image
        The H&E image, a whole path.
    mpp, size
        Its micrometres per pixel; its width and height in pixels.
    source
        The file to name in messages.
    slide_mpp
        Micrometres per pixel of the full-resolution image, in which a user's tables count places,
        if `image` is a smaller one.
    """

    what: Literal["spots", "cells"]
    table: ad.AnnData
    image: Path
    mpp: float
    size: tuple[int, int]
    source: Path
    slide_mpp: float | None = None


class Tables(NamedTuple):
    """What a user's tables say of spots or cells."""

    labels: Labels | None
    composition: Labels | None


def options_of(dataset: Dataset) -> Sections:
    """Return the block `sections`, which readers of 10x and HEST files need."""
    if dataset.sections is None:
        raise ConfigError(
            f"reader {dataset.reader!r} needs the block `sections` in the data set's parameters: "
            "units and donors"
        )
    return dataset.sections


def assemble(
    root: Path,
    dataset: Dataset,
    present: Iterable[str],
    measure: Callable[[str], Measured],
) -> Iterator[Section]:
    """Yield every section that has a donor.

    Parameters
    ----------
    root
        The folder that the sections lie in.
    dataset
        What is asked for.
    present
        Names of all sections there.
    measure
        Reads the section of a name.
    """
    options, here = options_of(dataset), sorted(present)
    donor_of = options.donor_of(here)
    for name in donor_of:
        if name not in here:
            raise DataError(
                f"{root}: no section {name!r}, which sections.donors names{suggest(name, here)}"
            )
    if others := sorted(set(here) - set(donor_of)):
        tqdm.write(f"{root.name}: {', '.join(others)} without a donor, left out")
    tables = Tables(
        None if options.labels is None else read_labels(root / options.labels, donor_of),
        None if options.composition is None else read_labels(root / options.composition, donor_of),
    )
    if tables.labels is not None:
        tables.labels.require(options.cell_type)
    for name, donor in donor_of.items():
        yield _section(root, dataset, tables, name, donor, measure(name))


def _section(
    root: Path, dataset: Dataset, tables: Tables, name: str, donor: str, found: Measured
) -> Section:
    options, table = options_of(dataset), found.table
    where = f"{found.source}, section {name}"
    reach = dataset.unit_um / np.sqrt(2)
    if tables.labels is not None:
        table.obs = join(tables.labels, name, table, found.slide_mpp or found.mpp, reach)
    if tables.composition is not None:
        words = join(tables.composition, name, table, found.slide_mpp or found.mpp, reach)
        table.obsm["cell_type_ratio"] = shares(words, f"{tables.composition.path}, section {name}")
    cells = None
    if options.units == "patches":
        size_um = (found.size[0] * found.mpp, found.size[1] * found.mpp)
        table, inner = gather(
            table, dataset.unit_um, size_um, options.origin_um, options.least or 1,
            options.cell_type, where,
        )  # fmt: skip
        cells = inner if found.what == "cells" and options.keep_cells else None
    elif options.units != found.what:
        raise DataError(
            f"{where}: has {found.what}, no {options.units}; set sections.units to {found.what} or "
            "patches"
        )
    image = found.image.relative_to(root)
    section = Section(name, donor, table, image, found.mpp, cells)
    check_section(section, found.source, found.size)
    return section


def within(
    table: ad.AnnData, pixels: Float64[np.ndarray, "cells 2"], size: tuple[int, int], where: str
) -> Bool[np.ndarray, " cells"]:
    """Say which cells lie in the image, of which a scan may show a part.

    Raises
    ------
    DataError
        If fewer than half do: then image and cells are not in one frame.
    """
    inside = np.asarray(((pixels >= 0) & (pixels <= np.array(size))).all(axis=1))
    if (lost := int((~inside).sum())) * 2 > table.n_obs:
        x, y = pixels[int(np.flatnonzero(~inside)[0])]
        raise DataError(
            f"{where}: {lost} of {table.n_obs} cells lie outside the image of {size[0]} x "
            f"{size[1]} pixels (e.g. at {x:.0f}, {y:.0f}); image and alignment are not of this "
            "section, or the alignment is of another scale of the image"
        )
    if lost:
        tqdm.write(f"{where}: {lost} of {table.n_obs} cells lie outside the image, dropped")
    return inside
