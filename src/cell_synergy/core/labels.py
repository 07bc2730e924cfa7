"""Labels, donors and sections as text: one spelling, and one meaning of "missing"."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cell_synergy.core.errors import DataError

# What pandas takes for a missing value when it reads a CSV, so that a table gives the same labels
# as CSV and as .h5ad (pandas documentation, `read_csv`, `na_values`).
MISSING = frozenset(
    {
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
        "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    }
)  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
_LISTED = 8  # names that a message lists
_UNSEEN = "Cf"  # Unicode's category of marks that have no width


def as_labels(column: pd.Series) -> pd.Series:
    """Return a column as text, None where it is missing.

    Blanks around a word go and those inside it become one; what is not seen, like a byte order
    mark, goes; accents are composed. Where every number is whole, `1`, `1.0` and `"1.0"` are the
    same label, `1`, also among words. Not for the names of genes and barcodes, which are taken as
    they are written: a gene may be called `nan`.

    Parameters
    ----------
    column
        Text, bytes, numbers or categories; of any dtype, also mixed.

    Returns
    -------
    :
        Of dtype object, with the same index.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):  # each word once
        used = column.cat.remove_unused_categories().cat
        of_category = as_labels(pd.Series(used.categories.astype(object))).to_numpy(object)
        words = np.append(of_category, [None])[used.codes]
        return pd.Series(words, column.index, dtype=object, name=column.name)
    values = column.astype(object)
    text = values.map(_text).astype(object).where(values.notna(), None)
    text = text.where(~text.isin(MISSING), None)
    numbers = [word for word in text.dropna().unique() if _NUMBER.fullmatch(word)]
    if all(_WHOLE.fullmatch(word) for word in numbers):
        whole = {word: word.partition(".")[0] for word in numbers}
        text = text.map(lambda word: whole.get(word, word))
    return text


def as_names(column: pd.Series, what: str, where: str) -> pd.Series:
    """Return a column of donors or sections as text; none is missing and each has one spelling.

    Parameters
    ----------
    column
        As in `as_labels`.
    what
        What it names, for messages: for example "donor".
    where
        File and column, for messages.

    Raises
    ------
    DataError
        If a value is missing, or two names differ in blanks or in upper and lower case alone: one
        donor under two names would be trained on and judged.
    """
    names = as_labels(column)
    if (missing := names.isna()).any():
        raise DataError(
            f"{where}: the {what} is missing for {int(missing.sum())} of {len(names)} rows, first "
            f"{names.index[missing][0]!r}; name it for every row"
        )
    check_spellings(names.unique().tolist(), what, where)
    return names


def check_spellings(names: list[str], what: str, where: str) -> None:
    """Refuse names that differ in blanks or in upper and lower case alone."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[folded(str(name))].append(str(name))
    for spellings in alike.values():
        if len(spellings) > 1:
            given = " and ".join(map(repr, sorted(spellings)))
            raise DataError(
                f"{where}: {given} differ in blanks or capitals alone; write a {what}'s name in "
                "one way"
            )


def folded(name: str) -> str:
    """Return a name without blanks and capitals, in which names that look alike are equal."""
    return "".join(unicodedata.normalize("NFKC", name).split()).casefold()


def some(names: Sequence[str]) -> str:
    """Return the first names of many, as a message lists them, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if not text.isascii():
        seen = (letter for letter in text if unicodedata.category(letter) != _UNSEEN)
        text = unicodedata.normalize("NFC", "".join(seen))
    return " ".join(text.split())
