"""Readers, one per source format: the file's name is the `reader` of a data set in params.yaml."""

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.external_files import located
from cell_synergy.raw.sections.section import Section


def names() -> list[str]:
    """Return the name of every reader."""
    return [module.name for module in iter_modules(__path__)]


def read(raw: Path, dataset: DatasetConfig) -> Iterator[Section]:
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
