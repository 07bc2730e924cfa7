"""Labels and names of donors and sections as text, with one spelling and one missing value."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cell_synergy.core.errors import DataError

# The texts that pandas reads as missing from a CSV (its documentation, `read_csv`, `na_values`), so
# that a table has equal labels as CSV and as .h5ad.
MISSING = frozenset(
    {
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
        "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    }
)  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
_LISTED = 8  # largest number of names in a message
_FORMAT_MARKS = "Cf"  # Unicode's category of marks without a width


def as_labels(column: pd.Series) -> pd.Series:
    """Return a column of labels as text, None where the label is missing.

    White space around a label is removed and that inside becomes one blank; invisible marks, such
    as a byte order mark, are removed; accents are composed. If all numbers in the column are whole,
    `1`, `1.0` and `"1.0"` become the label `1`. Do not use this for names of genes and barcodes,
    which keep their spelling: a gene may be called `nan`.

    Parameters
    ----------
    column
        Text, bytes, numbers or categories; of any dtype, also mixed.

    Returns
    -------
    :
        Text of dtype object, with the index of `column`.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):  # convert each category once
        used = column.cat.remove_unused_categories().cat
        of_category = as_labels(pd.Series(used.categories.astype(object))).to_numpy(object)
        labels = np.append(of_category, [None])[used.codes]
        return pd.Series(labels, column.index, dtype=object, name=column.name)
    values = column.astype(object)
    text = values.map(_text).astype(object).where(values.notna(), None)
    text = text.where(~text.isin(MISSING), None)
    numbers = [label for label in text.dropna().unique() if _NUMBER.fullmatch(label)]
    if all(_WHOLE.fullmatch(number) for number in numbers):
        whole = {number: number.partition(".")[0] for number in numbers}
        text = text.map(lambda label: whole.get(label, label))
    return text


def as_names(column: pd.Series, what: str, where: str) -> pd.Series:
    """Return a column of donors or sections as text; refuse missing names and several spellings.

    Parameters
    ----------
    column
        Text, bytes, numbers or categories; of any dtype, also mixed.
    what
        Kind of name, for messages: for example "donor".
    where
        File and column, for messages.

    Returns
    -------
    Text in the spelling of `as_labels`, with the index of `column`.

    Raises
    ------
    DataError
        If a value is missing, or two names differ in white space, case or Unicode form only: a
        donor under two names could be in training and in test.
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
    """Refuse names that are equal after Unicode normalisation (NFKC), without white space and case.

    Parameters
    ----------
    names
        Distinct names, of donors, sections or cell types; an exact repeat is refused as well.
    what
        Kind of name, for messages: for example "donor".
    where
        Where the names are from, for messages: file and column, data set, or key of params.yaml.

    Raises
    ------
    DataError
        If two names are equal in this comparison.
    """
    similar: dict[str, list[str]] = defaultdict(list)
    for name in names:
        similar[fold_name(str(name))].append(str(name))
    for spellings in similar.values():
        if len(spellings) > 1:
            listed = " and ".join(map(repr, sorted(spellings)))
            raise DataError(
                f"{where}: {listed} differ in blanks or capitals alone; write a {what}'s name in "
                "one way"
            )


def fold_name(name: str) -> str:
    """Return a name for comparison: normalised (NFKC), without white space, with case folded."""
    return "".join(unicodedata.normalize("NFKC", name).split()).casefold()


def preview(names: Sequence[str]) -> str:
    """Return names for a message: the first eight, separated by commas, and the others' number."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def _text(value: object) -> str:
    """Return a value as text in NFC, without invisible marks and superfluous white space."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if not text.isascii():
        visible = (letter for letter in text if unicodedata.category(letter) != _FORMAT_MARKS)
        text = unicodedata.normalize("NFC", "".join(visible))
    return " ".join(text.split())
