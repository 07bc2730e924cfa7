"""Types of names in params.yaml: lists of names, of donors or sections, of labels, of files."""

from collections.abc import Mapping
from typing import Annotated

import pandas as pd
from pydantic import BeforeValidator

from cell_synergy.core.labels import as_labels, check_spellings

_MAX_BYTES = 100  # of a name inside a file's name, which may have 255


def listed(text: object) -> tuple[object, ...]:
    """Split a line at its commas, or accept a list; a single value may be a number of YAML."""
    if isinstance(text, tuple):
        return text
    values = text if isinstance(text, list) else [text]
    if any(isinstance(v, bool) or not isinstance(v, str | int | float) for v in values):
        raise ValueError("write names or numbers, separated by commas; a date or a truth in quotes")
    if not isinstance(text, list):
        values = str(text).split(",")
    names = [str(value).strip() for value in values]
    if not all(names):
        raise ValueError("there is nothing between two commas")
    return tuple(names)


def _as_group_names(names: object) -> tuple[str, ...]:
    """Return donors or sections in the spelling of `as_labels`, for example `1.0` as `1`."""
    given = pd.Series(listed(names), dtype=object)
    text = as_labels(given)
    if (missing := text.isna()).any():
        raise ValueError(f"{given[missing].iloc[0]!r} stands for a missing value; rename it")
    return tuple(text)


def _as_class_labels(names: object) -> tuple[str, ...]:
    """Return labels in the spelling of `as_labels`, without missing values."""
    return tuple(as_labels(pd.Series(listed(names), dtype=object)).dropna())


def is_file_name(name: str) -> bool:
    """Whether the name of a file can begin with this name."""
    fits = 0 < len(name.encode()) <= _MAX_BYTES
    return fits and name[0] != "." and name.isprintable() and not set(name) & set("/\\")


def _as_donor_sections(sections: object) -> object:
    """Return `sections.donors` with its donors in the spelling of `as_labels`."""
    if not isinstance(sections, Mapping) or not sections:
        return sections
    donors = _as_group_names(list(sections))
    if twice := sorted({donor for donor in donors if donors.count(donor) > 1}):
        raise ValueError(f"{twice} are listed twice; list a donor's sections in one line")
    check_spellings(list(donors), "donor", "sections.donors")
    return dict(zip(donors, sections.values(), strict=True))


Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
"""Names in one line, separated by commas, or a list."""

GroupNames = Annotated[tuple[str, ...], BeforeValidator(_as_group_names)]
"""Donors or sections, written as `Names`."""

Labels = Annotated[tuple[str, ...], BeforeValidator(_as_class_labels)]
"""Labels, written as `Names`."""

DonorSections = Annotated[dict[str, GroupNames], BeforeValidator(_as_donor_sections)]
"""The sections of each donor."""
