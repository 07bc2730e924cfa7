"""Labels converted to the classes that a probe predicts."""

from collections import defaultdict

import pandas as pd
from pydantic import PositiveInt
from tqdm import tqdm

from cell_synergy.core.config import Config
from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import as_labels, fold_name, preview
from cell_synergy.data.config import ClassificationTask

_DISTINCT_MAX = 0.5  # share of distinct labels above which they are names, not classes


class ClassRule(Config):
    """Minimum frequency of a class.

    Attributes
    ----------
    class_units, class_donors
        A label is a class if at least `class_donors` donors (sections, blocks) have at least
        `class_units` observations with this label each.
    """

    class_units: PositiveInt
    class_donors: PositiveInt


def as_classes(
    labels: pd.Series, groups: pd.Series, spec: ClassificationTask, rule: ClassRule, what: str
) -> pd.Series:
    """Return labels as categories; excluded, missing and rare labels become missing values.

    The number of observations without a class is logged.

    Parameters
    ----------
    labels
        Label of each observation, of any dtype (see `cell_synergy.core.labels.as_labels`).
    groups
        Donor, section or block of each observation, in the order of `labels`. The name of the
        column says which, for messages.
    spec
        The task; the labels in its `exclude` are not classes.
    rule
        Minimum frequency of a class.
    what
        Data set and task, for messages.

    Returns
    -------
    A categorical column with the index of `labels`; its categories are the classes, sorted.

    Raises
    ------
    DataError
        If all labels are numbers and some are not integers, or fewer than two classes remain.
    """
    text = as_labels(labels).reset_index(drop=True)
    missing = int(text.isna().sum())
    excluded = set(as_labels(pd.Series(spec.exclude, dtype=object)).dropna())
    if unknown := sorted(excluded - set(text.dropna())):
        tqdm.write(f"{what}: no observation is labelled {unknown}, which `exclude` names")
    text = text.where(~text.isin(excluded), None)
    _refuse_fractions(text, what)
    counts = pd.crosstab(groups.astype(str).to_numpy(), text.to_numpy())
    frequent = counts.columns[(counts >= rule.class_units).sum() >= rule.class_donors]
    group = groups.name if groups.name in {"section", "block"} else "donor"
    needed = f"{rule.class_units} observations in {rule.class_donors} {group}s"
    if rare := sorted(set(counts.columns) - set(frequent)):
        tqdm.write(f"{what}: dropped {preview(rare)} (under {needed})")
    if len(frequent) < 2:  # noqa: PLR2004 - a classification needs two classes
        raise DataError(f"{what}: {_too_few(text, len(frequent), needed)}")
    result = pd.Series(pd.Categorical(text, categories=sorted(frequent)), index=labels.index)
    _log_unlabelled(result, groups, missing, what)
    _log_similar(result, what)
    return result


def _refuse_fractions(text: pd.Series, what: str) -> None:
    """Refuse a column of measurements: all labels are numbers, and some are not whole."""
    numbers = {label: _number(label) for label in text.dropna().unique()}
    if not numbers or None in numbers.values():
        return
    fractions = [label for label, number in numbers.items() if not float(number or 0).is_integer()]
    if fractions:
        raise DataError(
            f"{what} holds fractions, not classes (e.g. {fractions[0]}); bin them first, or spell "
            f"classes with a letter (for example 'c{fractions[0]}')"
        )


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


def _too_few(text: pd.Series, n_classes: int, needed: str) -> str:
    """Return the reason for fewer than two classes, and the remedy, for a message."""
    labelled, distinct = int(text.notna().sum()), text.nunique()
    if not labelled:
        return "no observation has a label; check the label column, or drop the task"
    if distinct > max(2, _DISTINCT_MAX * labelled):
        return (
            f"{distinct} different labels in {labelled} labelled observations are no classes (e.g. "
            f"{text.dropna().iloc[0]!r}); name a column of classes, or bin the numbers first"
        )
    unlabelled = len(text) - labelled
    without = f" ({unlabelled} observations have no label)" if unlabelled else ""
    return (
        f"{n_classes} class(es) with {needed}{without}, a classification needs two; check the "
        "label column, `exclude`, or drop the task"
    )


def _log_unlabelled(labels: pd.Series, groups: pd.Series, missing: int, what: str) -> None:
    """Log how many observations have no class, and the donors (sections, blocks) without any."""
    unlabelled = labels.isna().to_numpy()
    if unlabelled.any():
        tqdm.write(
            f"{what}: {int(unlabelled.sum())} of {len(labels)} observations are left out "
            f"({missing} without a label)"
        )
    group = groups.astype(str).to_numpy()
    if without := sorted(set(group) - set(group[~unlabelled])):
        tqdm.write(
            f"{what}: no observation of {preview(without)} has a label, so the task is not scored "
            "there"
        )


def _log_similar(labels: pd.Series, what: str) -> None:
    """Log classes whose names differ in upper and lower case only."""
    similar = defaultdict(list)
    for name in labels.cat.categories:
        similar[fold_name(name)].append(name)
    for names in similar.values():
        if len(names) > 1:
            tqdm.write(f"{what}: {names} differ in capitals alone, taken as several classes")
