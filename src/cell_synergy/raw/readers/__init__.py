"""Readers, one module per source format; the key `reader` of a data set is a module's name.

Called from outside: `read`, and `names`. Every module has a function `read(raw, dataset)` that
yields sections.
"""

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from cell_synergy.core.discovery import module_names
from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.external_files import located
from cell_synergy.raw.sections.section import Section


def names() -> list[str]:
    """Return the name of every reader, which is a module of this folder, sorted."""
    return module_names(__path__)


def read(raw: Path, dataset: DatasetConfig) -> Iterator[Section]:
    """Yield every section of a data set.

    Parameters
    ----------
    raw
        The raw folder, with the files or with the record of an external folder of files.
    dataset
        Configuration of the data set.

    Raises
    ------
    DataError
        If there is no such reader, a file has changed since `download` recorded it, or, while the
        sections are read, if one is missing, cannot be read or is invalid.
    ConfigError
        If the reader needs a key that its configuration lacks.
    """
    if (reader := dataset.reader.kind) not in names():
        raise DataError(f"no reader {reader!r}{suggest(reader, names())}")
    root = located(raw)
    sections: Iterator[Section] = import_module(f"{__name__}.{reader}").read(root, dataset)
    return sections if root == raw else (_absolute_image(section, root) for section in sections)


def _absolute_image(section: Section, root: Path) -> Section:
    """Make the image's path absolute; joined to the raw folder, it then remains unchanged."""
    return section if section.image is None else replace(section, image=root / section.image)
