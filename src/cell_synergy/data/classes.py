"""Labels made into the classes that a probe can be asked for."""

from collections import defaultdict

import pandas as pd
from pydantic import PositiveInt
from tqdm import tqdm

from cell_synergy.core.config import Config
from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import as_labels, folded, some
from cell_synergy.data.config import ClassificationTask

_NAMES = 0.5  # share of different labels above which a column names units, not classes


class ClassRule(Config):
    """What becomes a class.

    Attributes
    ----------
    class_units, class_donors
        A class has this many units in each of this many donors (sections, blocks), or is dropped.
    """

    class_units: PositiveInt
    class_donors: PositiveInt


def classes(
    labels: pd.Series, groups: pd.Series, spec: ClassificationTask, rule: ClassRule, what: str
) -> pd.Series:
    """Return labels as categories; those that are excluded, missing or rare are none.

    What is left out is counted in the log.

    Parameters
    ----------
    labels, groups
        Of each unit: its label, of any dtype (see `cell_synergy.core.labels.as_labels`), and the
        donor (section) that it is of.
    spec, rule
        Which labels are no classes.
    what
        What the labels are, for messages.

    Raises
    ------
    DataError
        If labels are fractions, or fewer than two classes are left.
    """
    words = as_labels(labels).reset_index(drop=True)
    missing = int(words.isna().sum())
    excluded = set(as_labels(pd.Series(spec.exclude, dtype=object)).dropna())
    if unknown := sorted(excluded - set(words.dropna())):
        tqdm.write(f"{what}: no unit is labelled {unknown}, which `exclude` names")
    words = words.where(~words.isin(excluded), None)
    _refuse_fractions(words, what)
    counts = pd.crosstab(groups.astype(str).to_numpy(), words.to_numpy())
    kept = counts.columns[(counts >= rule.class_units).sum() >= rule.class_donors]
    of = groups.name if groups.name in {"section", "block"} else "donor"
    needed = f"{rule.class_units} units in {rule.class_donors} {of}s"
    if rare := sorted(set(counts.columns) - set(kept)):
        tqdm.write(f"{what}: dropped {some(rare)} (under {needed})")
    if len(kept) < 2:  # noqa: PLR2004 - one class is no question
        raise DataError(f"{what}: {_too_few(words, len(kept), needed)}")
    found = pd.Series(pd.Categorical(words, categories=sorted(kept)), index=labels.index)
    _say(found, groups, missing, what)
    return found


def _refuse_fractions(words: pd.Series, what: str) -> None:
    """Refuse a column of measurements: all numbers, some of them not whole."""
    numbers = {word: _number(word) for word in words.dropna().unique()}
    if not numbers or None in numbers.values():
        return
    if broken := [word for word, number in numbers.items() if not float(number or 0).is_integer()]:
        raise DataError(
            f"{what} holds fractions, not classes (e.g. {broken[0]}); bin them first, or spell "
            f"classes with a letter (for example 'c{broken[0]}')"
        )


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _too_few(words: pd.Series, kept: int, needed: str) -> str:
    """Say why there are not two classes, and what to do."""
    labelled, different = int(words.notna().sum()), words.nunique()
    if not labelled:
        return "no unit has a label; check the label column, or drop the task"
    if different > max(2, _NAMES * labelled):
        return (
            f"{different} different labels in {labelled} labelled units are no classes (e.g. "
            f"{words.dropna().iloc[0]!r}); name a column of classes, or bin the numbers first"
        )
    none = len(words) - labelled
    return (
        f"{kept} class(es) with {needed}{f' ({none} units have no label)' * bool(none)}, a "
        "classification needs two; check the label column, `exclude`, or drop the task"
    )


def _say(found: pd.Series, groups: pd.Series, missing: int, what: str) -> None:
    """Log units without a class, donors without any, and classes that are spelt almost alike."""
    none = found.isna().to_numpy()
    if none.any():
        tqdm.write(
            f"{what}: {int(none.sum())} of {len(found)} units are left out ({missing} without a "
            "label)"
        )
    owners = groups.astype(str).to_numpy()
    if silent := sorted(set(owners) - set(owners[~none])):
        tqdm.write(f"{what}: no unit of {some(silent)} has a label, not asked there")
    alike = defaultdict(list)
    for name in found.cat.categories:
        alike[folded(name)].append(name)
    for names in alike.values():
        if len(names) > 1:
            tqdm.write(f"{what}: {names} differ in capitals alone, taken as several classes")
