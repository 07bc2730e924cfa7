"""Names in params.yaml: of columns and methods, of donors and sections, of what names a file."""

from collections.abc import Mapping
from typing import Annotated

import pandas as pd
from pydantic import BeforeValidator

from cell_synergy.core.labels import as_labels, check_spellings

_LONGEST = 100  # bytes of a name in the name of a file, which may have 255


def listed(text: object) -> tuple[object, ...]:
    """Split a line at its commas, or take a list as it is; YAML reads a lone number as one."""
    if isinstance(text, tuple):
        return text
    given = text if isinstance(text, list) else [text]
    if any(isinstance(word, bool) or not isinstance(word, str | int | float) for word in given):
        raise ValueError("write names or numbers, separated by commas; a date or a truth in quotes")
    words = given if isinstance(text, list) else str(text).split(",")
    words = [str(word).strip() for word in words]
    if not all(words):
        raise ValueError("nothing stands between two commas")
    return tuple(words)


def called(names: object) -> tuple[str, ...]:
    """Return donors or sections as the data call them: text in one spelling, `1.0` as `1`."""
    given = pd.Series(listed(names), dtype=object)
    words = as_labels(given)
    if (missing := words.isna()).any():
        raise ValueError(f"{given[missing].iloc[0]!r} stands for a missing value and names nobody")
    return tuple(words)


def classes(names: object) -> tuple[str, ...]:
    """Return labels as the data have them: one spelling, `1.0` as `1`, none that is missing."""
    return tuple(as_labels(pd.Series(listed(names), dtype=object)).dropna())


def is_file_name(name: str) -> bool:
    """Whether a file's name can begin so."""
    short = 0 < len(name.encode()) <= _LONGEST
    return short and name[0] != "." and name.isprintable() and not set(name) & set("/\\")


def _owners(sections: object) -> object:
    """Name the donors of `sections.donors` as `called` does; YAML reads some as numbers."""
    if not isinstance(sections, Mapping) or not sections:
        return sections
    donors = called(list(sections))
    if twice := sorted({donor for donor in donors if donors.count(donor) > 1}):
        raise ValueError(f"{twice} are listed twice; list a donor's sections in one line")
    check_spellings(list(donors), "donor", "sections.donors")
    return dict(zip(donors, sections.values(), strict=True))


Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
"""Names in one line, separated by commas, or a list."""

People = Annotated[tuple[str, ...], BeforeValidator(called)]
"""Donors or sections, written as `Names`."""

Labels = Annotated[tuple[str, ...], BeforeValidator(classes)]
"""Labels, written as `Names`."""

Owned = Annotated[dict[str, People], BeforeValidator(_owners)]
"""The sections of each donor."""
