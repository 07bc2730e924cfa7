"""Assembly of sections from a platform's measurements and a user's tables of labels."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import anndata as ad
import numpy as np
from tqdm import tqdm

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.core.messages import suggest
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.reader_config import ReaderConfig
from cell_synergy.raw.external_files import below
from cell_synergy.raw.sections.coordinates import drop_outside_image
from cell_synergy.raw.sections.label_tables import (
    LabelTable,
    as_proportions,
    join_labels,
    read_labels,
)
from cell_synergy.raw.sections.patches import gather_patches
from cell_synergy.raw.sections.section import Section, check_section


@dataclass(frozen=True)
class MeasuredSection:
    """Measurements of a platform in one section.

    Attributes
    ----------
    kind
        Kind of the observations: spots (or bins), or cells.
    adata
        Spots or cells x genes, raw counts; `obsm["spatial"]` in micrometres from the top left
        corner of the image.
    image
        Absolute path of the H&E image; None for a section of a reference donor without one.
    mpp, image_size
        Micrometres per pixel of the image; its width and height in pixels, None without an image.
    source
        File or folder, for messages.
    slide_mpp
        Micrometres per pixel of the full-resolution image, whose pixels are the unit of coordinates
        in a user's tables; None if `image` has the full resolution.
    """

    kind: Literal["spots", "cells"]
    adata: ad.AnnData
    image: Path | None
    mpp: float
    image_size: tuple[int, int] | None
    source: Path
    slide_mpp: float | None = None


class UserTables(NamedTuple):
    """A user's tables of labels and of cell-type proportions; None where params.yaml has none."""

    labels: LabelTable | None
    composition: LabelTable | None


def sections_config(dataset: DatasetConfig) -> ReaderConfig:
    """Return the configuration of a reader of 10x or HEST files; `ConfigError` without `units`."""
    if dataset.sections is None:
        kind = dataset.reader.kind
        raise ConfigError(
            f"reader {kind!r} needs the key `units` in the data set's parameters: "
            f"`reader: {{kind: {kind}, units: spots}}`"
        )
    return dataset.sections


def needs_image(dataset: DatasetConfig, name: str) -> bool:
    """Return whether a section needs an image.

    Only spots or cells of a donor (under `leave-one-section-out`, of a section) with the role
    `reference` need none.

    Parameters
    ----------
    dataset
        Configuration of the data set.
    name
        Name of the section.

    Raises
    ------
    ConfigError
        If the reader has no key `units`.
    """
    config = sections_config(dataset)
    group = name if dataset.grouping == "section" else config.donor_of([name]).get(name, "")
    return config.units == "patches" or dataset.role_of.get(group) != "reference"


def assemble(
    root: Path,
    dataset: DatasetConfig,
    present: Iterable[str],
    measure: Callable[[str], MeasuredSection],
) -> Iterator[Section]:
    """Yield every section that has a donor; sections without a donor are logged and left out.

    Parameters
    ----------
    root
        Folder of the sections, of their images and of the user's tables.
    dataset
        Configuration of the data set.
    present
        Names of all sections in the folder; hidden ones are ignored.
    measure
        Function that reads the measurements of a section, given its name.

    Raises
    ------
    ConfigError
        If the reader has no key `units`.
    DataError
        If `reader.donors` names an absent section, a table of labels cannot be read or joined, more
        than half of a section is outside its image, patches lack an image, no patch has enough
        cells, `units` is not what the platform measures, or `check_section` refuses the section.
    """
    config = sections_config(dataset)
    names = sorted(name for name in present if not name.startswith("."))
    donor_of = config.donor_of(names)
    for name in donor_of:
        if name not in names:
            raise DataError(
                f"{root}: no section {name!r}, which reader.donors names{suggest(name, names)}"
            )
    if without_donor := sorted(set(names) - set(donor_of)):
        tqdm.write(f"{root.name}: {', '.join(without_donor)} without a donor, left out")
    tables = UserTables(
        _read_table(root, config.labels, "reader.labels", donor_of),
        _read_table(root, config.composition, "reader.composition", donor_of),
    )
    if tables.labels is not None:
        tables.labels.require(config.cell_type)
    for name, donor in donor_of.items():
        yield _assemble_section(root, dataset, tables, name, donor, measure(name))


def _read_table(
    root: Path, name: str | None, key: str, donor_of: dict[str, str]
) -> LabelTable | None:
    return None if name is None else read_labels(below(root, name, key), donor_of)


def _assemble_section(
    root: Path,
    dataset: DatasetConfig,
    tables: UserTables,
    name: str,
    donor: str,
    measured: MeasuredSection,
) -> Section:
    config = sections_config(dataset)
    where = f"{measured.source}, section {name}"
    adata, coverage = measured.adata, None
    if measured.image_size is not None:
        adata, coverage = drop_outside_image(
            adata, measured.mpp, measured.image_size, measured.kind, where
        )
    _add_tables(adata, tables, name, measured.slide_mpp or measured.mpp, dataset.unit_um)
    cells = None
    if config.units == "patches":
        adata, members = _make_patches(adata, dataset, measured, where)
        cells = members if measured.kind == "cells" and config.keep_cells else None
    elif config.units != measured.kind:
        raise DataError(
            f"{where}: has {measured.kind}, no {config.units}; set reader.units to "
            f"{measured.kind} or patches"
        )
    image = None if measured.image is None else measured.image.relative_to(root)
    mpp = None if image is None else measured.mpp
    section = Section(name, donor, adata, image, mpp, cells, coverage)
    check_section(section, measured.source)
    return section


def _add_tables(
    adata: ad.AnnData, tables: UserTables, name: str, mpp: float, unit_um: float
) -> None:
    """Set labels and composition of a section's spots or cells, in place, from a user's tables."""
    max_distance_um = unit_um / np.sqrt(2)
    if tables.labels is not None:
        adata.obs = join_labels(tables.labels, name, adata, mpp, max_distance_um)
    if tables.composition is not None:
        joined = join_labels(tables.composition, name, adata, mpp, max_distance_um)
        where = f"{tables.composition.path}, section {name}"
        adata.obsm["cell_type_ratio"] = as_proportions(joined, where)


def _make_patches(
    adata: ad.AnnData, dataset: DatasetConfig, measured: MeasuredSection, where: str
) -> tuple[ad.AnnData, ad.AnnData]:
    """Return the patches of a section, and the spots or cells inside of these patches."""
    config = sections_config(dataset)
    if measured.image_size is None:
        raise DataError(f"{where}: has no image, which patches need; put it there")
    width, height = measured.image_size
    size_um = (width * measured.mpp, height * measured.mpp)
    return gather_patches(
        adata, dataset.unit_um, size_um, config.origin_um, config.least or 1, config.cell_type,
        where,
    )  # fmt: skip
