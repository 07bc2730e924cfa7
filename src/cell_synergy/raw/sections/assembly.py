"""What a platform measured, made into the sections that a data set asks for."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import anndata as ad
import numpy as np
from tqdm import tqdm

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.data.config import DatasetConfig, SectionsConfig
from cell_synergy.raw.external_files import below
from cell_synergy.raw.sections.coordinates import keep_inside
from cell_synergy.raw.sections.label_tables import Labels, join, read_labels, shares
from cell_synergy.raw.sections.patches import gather
from cell_synergy.raw.sections.section import Section, check_section


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
        The H&E image, a whole path; None of spots or cells of a reference donor.
    mpp, size
        Its micrometres per pixel; its width and height in pixels, None without it.
    source
        The file to name in messages.
    slide_mpp
        Micrometres per pixel of the full-resolution image, in which a user's tables count places,
        if `image` is a smaller one.
    """

    what: Literal["spots", "cells"]
    table: ad.AnnData
    image: Path | None
    mpp: float
    size: tuple[int, int] | None
    source: Path
    slide_mpp: float | None = None


class Tables(NamedTuple):
    """What a user's tables say of spots or cells."""

    labels: Labels | None
    composition: Labels | None


def options_of(dataset: DatasetConfig) -> SectionsConfig:
    """Return the block `sections`, which readers of 10x and HEST files need."""
    if dataset.sections is None:
        raise ConfigError(
            f"reader {dataset.reader!r} needs the block `sections` in the data set's parameters: "
            "units and donors"
        )
    return dataset.sections


def needs_image(dataset: DatasetConfig, name: str) -> bool:
    """Say whether a section cannot do without an image: of a reference donor counts are enough."""
    options = options_of(dataset)
    group = name if dataset.named == "section" else options.donor_of([name]).get(name, "")
    return options.units == "patches" or dataset.role_of.get(group) != "reference"


def assemble(
    root: Path,
    dataset: DatasetConfig,
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
    options = options_of(dataset)
    here = sorted(name for name in present if not name.startswith("."))
    donor_of = options.donor_of(here)
    for name in donor_of:
        if name not in here:
            raise DataError(
                f"{root}: no section {name!r}, which sections.donors names{suggest(name, here)}"
            )
    if others := sorted(set(here) - set(donor_of)):
        tqdm.write(f"{root.name}: {', '.join(others)} without a donor, left out")
    tables = Tables(
        _table(root, options.labels, "sections.labels", donor_of),
        _table(root, options.composition, "sections.composition", donor_of),
    )
    if tables.labels is not None:
        tables.labels.require(options.cell_type)
    for name, donor in donor_of.items():
        yield _section(root, dataset, tables, name, donor, measure(name))


def _table(root: Path, name: str | None, key: str, donor_of: dict[str, str]) -> Labels | None:
    return None if name is None else read_labels(below(root, name, key), donor_of)


def _section(
    root: Path, dataset: DatasetConfig, tables: Tables, name: str, donor: str, found: Measured
) -> Section:
    options = options_of(dataset)
    where = f"{found.source}, section {name}"
    table, placed = found.table, None
    if found.size is not None:
        table, placed = keep_inside(table, found.mpp, found.size, found.what, where)
    reach = dataset.unit_um / np.sqrt(2)
    if tables.labels is not None:
        table.obs = join(tables.labels, name, table, found.slide_mpp or found.mpp, reach)
    if tables.composition is not None:
        words = join(tables.composition, name, table, found.slide_mpp or found.mpp, reach)
        table.obsm["cell_type_ratio"] = shares(words, f"{tables.composition.path}, section {name}")
    cells = None
    if options.units == "patches":
        if found.size is None:
            raise DataError(f"{where}: has no image, which patches need; put it there")
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
    image = None if found.image is None else found.image.relative_to(root)
    mpp = None if image is None else found.mpp
    section = Section(name, donor, table, image, mpp, cells, placed)
    check_section(section, found.source)
    return section
