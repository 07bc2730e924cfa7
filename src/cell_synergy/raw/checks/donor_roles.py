"""Roles, names and the split of a data set, checked before its sections are joined."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import anndata as ad
import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import check_spellings, fold_name, preview
from cell_synergy.core.messages import suggest
from cell_synergy.data import blocks
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.naming import is_file_name
from cell_synergy.data.splits import BLOCKS_HINT, fold_problems
from cell_synergy.data.study_design import BLOCKS


def name_problems(
    name: str, dataset: DatasetConfig, present: Sequence[tuple[str, str]]
) -> Iterator[str]:
    """Yield a message for each name in `roles` that the data lack, and messages on unusable names.

    Unusable among all sections and donors are a section name that occurs twice, and names that
    differ in white space, case or Unicode form alone (one message for sections and one for donors,
    on the first such names); among those with a role, a name that is no valid file name or is
    `all`.

    Parameters
    ----------
    name, dataset
        The data set's name and configuration.
    present
        Section and donor of every section in the data, with or without a role.
    """
    sections = {section for section, _ in present}
    donors = {donor for _, donor in present}
    groups = sections if dataset.grouping == "section" else donors
    for group in sorted(set(dataset.role_of) - groups):
        hint = _suggest_spelling(group, groups)
        yield f"data.{name}.roles: no {dataset.grouping} {group!r} in the data{hint}"
    counts = Counter(section for section, _ in present)
    for section in sorted(section for section, count in counts.items() if count > 1):
        yield f"{name}: section {section!r} occurs twice; rename one"
    for names, kind in ((sections, "section"), (donors, "donor")):
        try:
            check_spellings(sorted(names), kind, name)
        except DataError as error:
            yield str(error)
    for group, kind in sorted(_names_in_use(dataset, present)):
        if group == "all" or not is_file_name(group):
            yield f"{name}: {kind} {group!r} cannot name a file; rename it"


def _names_in_use(
    dataset: DatasetConfig, present: Sequence[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Return the names of sections and donors that have a role, each with its kind."""
    if dataset.grouping == "section":
        return {(section, "section") for section, _ in present if section in dataset.role_of}
    with_role = [(section, donor) for section, donor in present if donor in dataset.role_of]
    names = {(section, "section") for section, _ in with_role}
    return names | {(donor, "donor") for _, donor in with_role}


def _suggest_spelling(name: str, names: set[str]) -> str:
    """Return a hint at the most likely correct name; "" if none is similar."""
    for other in sorted(names):
        if name.isdigit() and other.isdigit() and int(name) == int(other):
            return f" (did you mean {other!r}? write it in quotes: else YAML reads a number)"
        if fold_name(name) == fold_name(other):
            return f" (did you mean {other!r}? blanks and capitals count)"
    return suggest(name, names)


def split_problems(
    name: str,
    dataset: DatasetConfig,
    study: Sequence[ad.AnnData],
    reference: Sequence[ad.AnnData],
    scored_sections: Iterable[str],
) -> Iterator[str]:
    """Yield a message for each reason why the split is impossible with these sections.

    Reasons: no study section, no reference section, too few donors (sections, blocks) or none of a
    required role, and a donor on both sides of the split. If a split by blocks leaves blocks
    without an observation, the only message names these blocks.

    Parameters
    ----------
    name, dataset
        The data set's name and configuration.
    study, reference
        Observations of the sections that are scored or used for training, and of those that belong
        to the reference, one AnnData per section. A split by blocks divides a section into a part
        for each of the two.
    scored_sections
        Names of the sections that a split by blocks divides; not used by other splits.
    """
    if empty := _empty_blocks(dataset, [*study, *reference], scored_sections):
        yield (
            f"{name}: the gaps leave no observation of {preview(empty)}; lower "
            f"data.{name}.split.gap_um or data.{name}.split.blocks"
        )
        return
    messages = []
    if study:
        columns = ["donor", "section", *(["block"] if dataset.split.kind == BLOCKS else [])]
        obs = pd.concat(adata.obs[columns].drop_duplicates() for adata in study)
        messages = [f"{name}: {message}" for message in fold_problems(obs, dataset)]
    else:
        messages = [f"{name}: no section of a study donor; check data.{name}.roles"]
    if not reference:
        message = f"{name}: no section of a reference donor; check data.{name}.roles"
        if BLOCKS_HINT not in " ".join(messages):
            message += f"; without one take {BLOCKS_HINT}"
        messages.append(message)
    yield from messages


def _empty_blocks(
    dataset: DatasetConfig, sections: Sequence[ad.AnnData], scored_sections: Iterable[str]
) -> list[str]:
    """Return the names of the blocks without an observation."""
    numbers = range(1, (dataset.block_split.blocks if dataset.block_split else 0) + 1)
    expected = {
        blocks.block_name(section, number) for section in scored_sections for number in numbers
    }
    return sorted(expected - {block for adata in sections for block in adata.obs.get("block", [])})
