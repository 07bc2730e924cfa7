"""Types of names in params.yaml: lists of names, of donors or sections, of labels, of files."""

from collections.abc import Mapping
from typing import Annotated

import pandas as pd
from pydantic import BeforeValidator

from cell_synergy.core.labels import as_labels, check_spellings

_MAX_BYTES = 100  # of a name inside a file's name, which may have 255


def listed(values: object) -> tuple[object, ...]:
    """Return the items of a list of params.yaml, or of a tuple, which the command line gives.

    Raises
    ------
    ValueError
        If it is no list, or an item is neither text nor a number.
    """
    if isinstance(values, tuple):
        return values
    if isinstance(values, list):
        if any(isinstance(v, bool) or not isinstance(v, str | int | float) for v in values):
            raise ValueError("a list has names or numbers; write a date or a truth in quotes")
        return tuple(values)
    items = filter(None, map(str.strip, str(values or "A, B").split(",")))
    raise ValueError(f"write a list, [{', '.join(items)}]")


def _as_names(values: object) -> tuple[object, ...]:
    """Return the items of a list as text, without blanks at their ends."""
    if isinstance(values, tuple):
        return values
    names = tuple(str(value).strip() for value in listed(values))
    if not all(names):
        raise ValueError("a name in the list is empty; take it out")
    return names


def _as_group_names(names: object) -> tuple[str, ...]:
    """Return donors or sections in the spelling of `as_labels`, for example `1.0` as `1`."""
    series = pd.Series(_as_names(names), dtype=object)
    text = as_labels(series)
    if (missing := text.isna()).any():
        raise ValueError(f"{series[missing].iloc[0]!r} stands for a missing value; rename it")
    return tuple(text)


def _as_class_labels(names: object) -> tuple[str, ...]:
    """Return labels in the spelling of `as_labels`, without missing values."""
    return tuple(as_labels(pd.Series(_as_names(names), dtype=object)).dropna())


def is_file_name(name: str) -> bool:
    """Return whether a name can be the start of a file's name.

    It has 1 to 100 bytes of printable UTF-8, no slash or backslash, and does not begin with a dot.
    """
    fits = 0 < len(name.encode()) <= _MAX_BYTES
    return fits and name[0] != "." and name.isprintable() and not set(name) & set("/\\")


def _as_donor_sections(sections: object) -> object:
    """Return `reader.donors` with its donors in the spelling of `as_labels`."""
    if not isinstance(sections, Mapping) or not sections:
        return sections
    donors = _as_group_names(list(sections))
    if twice := sorted({donor for donor in donors if donors.count(donor) > 1}):
        raise ValueError(f"{twice} are listed twice; write one list of sections per donor")
    check_spellings(list(donors), "donor", "reader.donors")
    return dict(zip(donors, sections.values(), strict=True))


def _of_kind(value: object) -> object:
    """Return `{kind: word}` for a bare word, and any other value unchanged."""
    if isinstance(value, str):
        return {"kind": value}
    if isinstance(value, Mapping) and "kind" not in value:
        raise ValueError("no key 'kind', which says what the other keys are about")
    return value


OfKind = BeforeValidator(_of_kind)
"""A block with a key `kind`; a bare word is short for `{kind: word}`."""

Names = Annotated[tuple[str, ...], BeforeValidator(_as_names)]
"""A list of names."""

GroupNames = Annotated[tuple[str, ...], BeforeValidator(_as_group_names)]
"""A list of donors or sections."""

Labels = Annotated[tuple[str, ...], BeforeValidator(_as_class_labels)]
"""A list of labels."""

DonorSections = Annotated[dict[str, GroupNames], BeforeValidator(_as_donor_sections)]
"""The sections of each donor."""
