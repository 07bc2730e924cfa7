"""What is told of roles, names and splits, before sections are joined."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import anndata as ad
import pandas as pd

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import check_spellings, folded, some
from cell_synergy.data import blocks
from cell_synergy.data.config import BLOCKS, DatasetConfig
from cell_synergy.data.naming import is_file_name
from cell_synergy.data.splits import INSTEAD, contradictions


def of_names(name: str, dataset: DatasetConfig, seen: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Tell of roles that nobody has, of spellings, and of names that no file can have.

    Parameters
    ----------
    name, dataset
        The data set.
    seen
        Section and donor of every section in the data, with a role or without.
    """
    sections, donors = ({pair[place] for pair in seen} for place in (0, 1))
    found = sections if dataset.named == "section" else donors
    for group in sorted(set(dataset.role_of) - found):
        yield f"data.{name}.roles: no {dataset.named} {group!r} in the data{_near(group, found)}"
    counts = Counter(section for section, _ in seen)
    for section in sorted(section for section, count in counts.items() if count > 1):
        yield f"{name}: section {section!r} occurs twice; rename one"
    for names, what in ((sections, "section"), (donors, "donor")):
        try:
            check_spellings(sorted(names), what, name)
        except DataError as error:
            yield str(error)
    of_role = [pair for pair in seen if pair[dataset.named == "donor"] in dataset.role_of]
    used = {(section, "section") for section, _ in of_role}
    if dataset.named == "donor":
        used |= {(donor, "donor") for _, donor in of_role}
    for group, what in sorted(used):
        if group == "all" or not is_file_name(group):
            yield f"{name}: {what} {group!r} cannot name a file; rename it"


def _near(name: str, known: set[str]) -> str:
    """Suggest the name that was meant: the same number, or the same letters, if there is one."""
    for other in sorted(known):
        if name.isdigit() and other.isdigit() and int(name) == int(other):
            return f" (did you mean {other!r}? write it in quotes: else YAML reads a number)"
        if folded(name) == folded(other):
            return f" (did you mean {other!r}? blanks and capitals count)"
    return suggest(name, known)


def of_donors(
    name: str,
    dataset: DatasetConfig,
    study: Sequence[ad.AnnData],
    reference: Sequence[ad.AnnData],
    sections: Iterable[str],
) -> Iterator[str]:
    """Tell of donors (sections, blocks) that the split lacks.

    Parameters
    ----------
    name, dataset
        The data set.
    study, reference
        Units of each section, or part of one.
    sections
        Those that are scored, and cut into blocks where the split asks for it.
    """
    if lost := _lost_blocks(dataset, [*study, *reference], sections):
        yield (
            f"{name}: the gaps leave no unit of {some(lost)}; lower data.{name}.gap_um or "
            f"data.{name}.blocks"
        )
        return
    missing = "{}: no section of a {} donor; check data.{}.roles"
    told = []
    if study:
        columns = ["donor", "section", *(["block"] if dataset.split == BLOCKS else [])]
        obs = pd.concat(table.obs[columns].drop_duplicates() for table in study)
        told = [f"{name}: {sentence}" for sentence in contradictions(obs, dataset)]
    else:
        told = [missing.format(name, "study", name)]
    if not reference:
        instead = "" if INSTEAD in " ".join(told) else f"; without one take {INSTEAD}"
        told.append(missing.format(name, "reference", name) + instead)
    yield from told


def _lost_blocks(
    dataset: DatasetConfig, tables: Sequence[ad.AnnData], sections: Iterable[str]
) -> list[str]:
    """Return the blocks without a unit."""
    numbers = range(1, (dataset.blocks or 0) + 1)
    wanted = {blocks.name(section, number) for section in sections for number in numbers}
    return sorted(wanted - {block for table in tables for block in table.obs.get("block", [])})
