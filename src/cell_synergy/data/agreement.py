"""Whether params.yaml and the data go together: all that does not is told at once, by `pairs`."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool
from tqdm import tqdm

from cell_synergy.core.config import suggest
from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import check_spellings
from cell_synergy.core.remarks import REMARK
from cell_synergy.data.units import blocks
from cell_synergy.data.units.dataset import BLOCKS, Dataset, Task
from cell_synergy.data.units.naming import is_file_name
from cell_synergy.data.units.splits import INSTEAD, Fold, contradictions, folds, held

_LEAST = 2  # labelled training units, so that one can choose the penalty; and classes


@dataclass(frozen=True)
class Needs:
    """What later stages need, as params.yaml says it.

    Attributes
    ----------
    components
        Axes that the expression expert fits: it needs more reference units, and genes.
    batch
        Training pairs in a step of a method that is trained.
    held
        Share of each training section that no method learns from.
    """

    components: int
    batch: int
    held: float


NOTHING = Needs(components=0, batch=0, held=0.0)


class Told:
    """Sentences about one data set, raised as one error."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sentences: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.sentences)

    def add(self, sentences: Iterable[str]) -> None:
        """Add what is to be told."""
        self.sentences += sentences

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Tell an error later."""
        try:
            yield
        except DataError as error:
            self.sentences.append(str(error))

    def refuse(self) -> None:
        """Raise what was told, if anything was."""
        told = list(dict.fromkeys(self.sentences))
        if len(told) == 1:
            raise DataError(told[0])
        if told:
            lines = "".join(f"\n  {number}. {text}" for number, text in enumerate(told, start=1))
            raise DataError(
                f"{self.name}: params.yaml and the data do not go together, for {len(told)} "
                f"reasons:{lines}"
            )


def of_names(name: str, dataset: Dataset, seen: Sequence[tuple[str, str]]) -> Iterator[str]:
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
    for names, what in ((sections, "section"), (donors, "donor")):
        try:
            check_spellings(sorted(names), what, name)
        except DataError as error:
            yield str(error)
    named = found & set(dataset.role_of)
    cut = sections if dataset.split == BLOCKS else set()
    for group in sorted(named | cut):
        if group == "all" or not is_file_name(group):
            what = dataset.named if group in named else "section"
            yield f"{name}: {what} {group!r} cannot name a file; rename it"


def _near(name: str, known: set[str]) -> str:
    """Suggest another name; one that is the same number was read as a number from params.yaml."""
    for other in sorted(known):
        if name.isdigit() and other.isdigit() and int(name) == int(other):
            return f" (did you mean {other!r}? write it in quotes: else YAML reads a number)"
    return suggest(name, known)


def of_donors(
    name: str, dataset: Dataset, study: Sequence[ad.AnnData], reference: Sequence[ad.AnnData]
) -> Iterator[str]:
    """Tell of donors (sections, blocks) that the split lacks.

    Parameters
    ----------
    name, dataset
        The data set.
    study, reference
        Units of each section, or part of one.
    """
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
    if dataset.blocks is not None:
        yield from _lost_blocks(name, dataset.blocks, [*study, *reference])


def _lost_blocks(name: str, count: int, tables: Sequence[ad.AnnData]) -> Iterator[str]:
    """Tell of blocks without a unit."""
    kept = pd.concat(table.obs for table in tables)
    if "block" not in kept:
        return
    for section, own in kept.dropna(subset=["block"]).groupby("section", observed=True)["block"]:
        wanted = {blocks.name(str(section), number) for number in range(1, count + 1)}
        if lost := sorted(wanted - set(own)):
            yield (
                f"{name}: the gaps leave no unit of {', '.join(lost)}; lower data.{name}.gap_um or "
                f"data.{name}.blocks"
            )


def of_tasks(pairs: ad.AnnData, dataset: Dataset) -> Iterator[str]:
    """Tell of tasks that have no answer on these folds: no label to learn from, or to score.

    Donors without a label of a task are named in the log.
    """
    name, split = str(pairs.uns["source"]), _folds(pairs, dataset)
    donor = pairs.obs["donor"].astype(str).to_numpy()
    for task, spec in dataset.tasks.items():
        codes = _codes(pairs, task, spec)
        if codes is None or not split:
            continue
        known = codes >= 0
        what = f"{name}: task {task!r}"
        if not known.any():
            yield f"{what}: no unit has a label; drop the task, or give labels"
            continue
        if bare := sorted(set(donor) - set(donor[known])):
            tqdm.write(f"{what}: no unit of {_some(bare)} has a label")
        yield from _of_one_task(what, codes, donor, split)
        if spec.kind == "classification":
            classes = pairs.obs[task].cat.categories.astype(str).tolist()
            yield from _unlearnt(what, codes, classes, donor, split)


def _codes(pairs: ad.AnnData, task: str, spec: Task) -> np.ndarray | None:
    """Return the class of each unit, 0 where a regression has a value, -1 where there is none.

    None if the task has all values, or was told of already.
    """
    if spec.kind == "classification":
        labels = pairs.obs.get(task)
        known = labels is not None and isinstance(labels.dtype, pd.CategoricalDtype)
        return labels.cat.codes.to_numpy().astype(int) if known else None
    if spec.kind == "gene_panel" or "cell_type_ratio" not in pairs.obsm:
        return None
    shares = pairs.obsm["cell_type_ratio"].to_numpy(dtype=np.float64)
    return np.where(np.isfinite(shares).all(axis=1), 0, -1)


def _of_one_task(
    what: str, codes: np.ndarray, donor: np.ndarray, split: Sequence[Fold]
) -> Iterator[str]:
    known = codes >= 0
    have = f"labelled are units of {_some(sorted(set(donor[known])))}"
    if not any((fold.test & known).any() for fold in split):
        tested = _some(sorted({name for fold in split for name in set(donor[fold.test])}))
        yield f"{what}: no unit of those who are scored, {tested}, has a label ({have})"
    if few := [fold.name for fold in split if (fold.probe & known).sum() < _LEAST]:
        yield (
            f"{what}: in fold {_some(few)} no two training units have a label ({have}); label "
            "further donors (sections) who are trained on, or drop the task"
        )


def _unlearnt(
    what: str, codes: np.ndarray, classes: Sequence[str], donor: np.ndarray, split: Sequence[Fold]
) -> Iterator[str]:
    """Tell of classes that are scored and never learnt, and of folds that learn one class."""
    pairs = [(set(codes[fold.probe]) - {-1}, set(codes[fold.test]) - {-1}) for fold in split]
    if single := [f.name for f, (own, _) in zip(split, pairs, strict=True) if len(own) == 1]:
        yield (
            f"{what}: training donors of fold {_some(single)} have one class only, a "
            "classification needs two; give them others, or drop the task"
        )
    scored = set().union(*(test for _, test in pairs))
    learnt = set().union(*(own & test for own, test in pairs))
    for code in sorted(scored - learnt):
        whose = _some(sorted(set(donor[codes == code])))
        yield (
            f"{what}: class {classes[code]!r} is in no donor who is trained on, only in {whose}; "
            "give one of them a training role, or put the class into `exclude`"
        )


def of_sizes(
    pairs: ad.AnnData, reference: ad.AnnData, dataset: Dataset, needs: Needs
) -> Iterator[str]:
    """Tell of units that are too few for the expression expert, or for methods to be trained."""
    name = str(pairs.uns["source"])
    units, genes = reference.n_obs, int((~reference.var["panel"].to_numpy(bool)).sum())
    if needs.components and min(units, genes) <= needs.components:
        yield (
            f"{name}: the expression expert fits {needs.components} components, which needs more "
            f"reference units ({units}) and genes ({genes}) than that; name further reference "
            "donors, or lower `components` of the expert in `encoders`"
        )
    few = [_learnt_from(pairs, fold, needs.held) for fold in _folds(pairs, dataset)]
    if min(few, default=needs.batch) < needs.batch:
        yield (
            f"{name}: {min(few)} training pairs in the smallest fold, fewer than a step of "
            f"training.batch_size: {needs.batch}; add tissue, or set it lower"
        )


def _folds(pairs: ad.AnnData, dataset: Dataset) -> list[Fold]:
    """Return the folds, none if the split was told to be impossible."""
    return [] if contradictions(pairs.obs, dataset) else folds(pairs.obs, dataset)


def _learnt_from(pairs: ad.AnnData, fold: Fold, share: float) -> int:
    kept_back: Bool[np.ndarray, " units"] = held(pairs, fold.align, share)
    return int((fold.align & ~kept_back).sum())


def finish(
    told: Told, pairs: ad.AnnData, reference: ad.AnnData, dataset: Dataset, needs: Needs
) -> None:
    """Check the joined pairs, refuse them if anything was told, and give them their remark."""
    told.add(of_tasks(pairs, dataset))
    told.add(of_sizes(pairs, reference, dataset, needs))
    told.refuse()
    if said := remark(dataset, pairs, reference):
        pairs.uns[REMARK] = said


def remark(dataset: Dataset, pairs: ad.AnnData, reference: ad.AnnData) -> str:
    """Return what every table of the data set has to say; "" if nothing."""
    said = []
    if dataset.gap_um is not None:
        said.append(
            f"split into blocks of a section, {dataset.gap_um:g} um apart: nothing about other "
            "donors"
        )
    scored = set(pairs.obs["donor"].astype(str))
    owners = reference.obs[["section", "donor"]].astype(str).drop_duplicates()
    shared = owners[owners["donor"].isin(scored)]
    if shared.empty:
        return "; ".join(said)
    if "block" in reference.obs:
        said.append(
            "the reference, on which experts are fitted, is the first block of each section"
        )
    else:
        which = ", ".join(f"{row.section} of donor {row.donor}" for row in shared.itertuples())
        said.append(f"reference section {which}, who is also scored")
    return "; ".join(said)


def _some(names: Sequence[str], most: int = 8) -> str:
    """Return names in words, not more than a few."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
