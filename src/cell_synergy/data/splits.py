"""Who is trained on, who is judged: no donor (section, block) is ever on both sides."""

from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from cell_synergy.core.errors import DataError
from cell_synergy.data.config import BLOCKS, DatasetConfig

INSTEAD = (
    f"`split: {BLOCKS}`, which can be had of one section and says nothing about other donors "
    "(its keys: `blocks`, how many to cut a section into, and `gap_um` between them, the widest "
    "field of view of the image expert)"
)


@dataclass(frozen=True)
class Fold:
    """One split of the units.

    Attributes
    ----------
    name
        `holdout`, or the donor (section, block) that is left out.
    align
        Units that alignment and standardisation are fitted on.
    probe
        Units that probes are fitted on: those of `align`, and donors of role `probe`.
    test
        Units that are scored.
    """

    name: str
    align: Bool[np.ndarray, " obs"]
    probe: Bool[np.ndarray, " obs"]
    test: Bool[np.ndarray, " obs"]


def groups_of(obs: pd.DataFrame, dataset: DatasetConfig) -> Shaped[np.ndarray, " obs"]:
    """Return what a split never divides, of each unit: its donor, section or block.

    Raises
    ------
    DataError
        If the pairs were made for another split, and were not cut into blocks.
    """
    if dataset.group not in obs:
        raise DataError(
            f"the pairs have no obs[{dataset.group!r}]: they were made for another split than "
            f"{dataset.split!r}; make them again (`dvc repro pairs`)"
        )
    return obs[dataset.group].astype(str).to_numpy()


def folds(obs: pd.DataFrame, dataset: DatasetConfig) -> list[Fold]:
    """Return the folds of a data set's paired units.

    Raises
    ------
    DataError
        If the split needs more donors (sections, blocks) than `obs` has.
    """
    groups = groups_of(obs, dataset)
    if problems := contradictions(obs, dataset):
        raise DataError("; ".join(problems))
    if dataset.split == "holdout":
        role_of = dataset.role_of
        roles = np.array([role_of.get(group, "") for group in groups])
        train, probe, test = (roles == role for role in ("train", "probe", "test"))
        return [Fold("holdout", train, train | probe, test)]
    names = sorted(set(groups))
    return [Fold(name, groups != name, groups != name, groups == name) for name in names]


def contradictions(obs: pd.DataFrame, dataset: DatasetConfig) -> list[str]:
    """Return why the split cannot be made of these donors and sections; what can be had instead.

    Parameters
    ----------
    obs
        With the columns `donor` and `section`, of units or of sections, without reference donors;
        and `block` where sections are cut.
    dataset
        Split and roles.
    """
    split, names = dataset.split, sorted(set(obs[dataset.group].astype(str)))
    if split == "holdout":
        roles = {dataset.role_of.get(name) for name in names}
        message = "split 'holdout' needs units of role {!r} and found none: check `roles` against "
        message += f"the donors {names}"
        return [message.format(role) for role in ("train", "test") if role not in roles]
    if split == "leave-one-section-out" and (divided := _divided(obs)):
        return [divided]
    if len(names) > 1:  # one to learn from and one to judge by
        return []
    if split == BLOCKS:
        remedy = "raise `blocks`, lower `gap_um`, or add tissue"
        return [f"split {split!r} needs two blocks beside the reference, found {names}: {remedy}"]
    needs = f"at least two {dataset.group}s to score (an interval five donors), and a reference"
    return [f"split {split!r} needs {needs}, found {names}: add tissue, or take {INSTEAD}"]


def _divided(obs: pd.DataFrame) -> str:
    """Say which donor would be on both sides if sections were left out."""
    sections = obs[["donor", "section"]].drop_duplicates().groupby("donor", observed=True).size()
    if len(sections) < 2 or (sections == 1).all():  # noqa: PLR2004 - of one donor nothing else can be
        return ""
    donor, count = sections.idxmax(), sections.max()
    return (
        f"split 'leave-one-section-out' would put donor {donor!r}, who has {count} sections, on "
        f"both sides; use 'leave-one-donor-out', with a further donor as reference, or {INSTEAD}"
    )


def held(
    units: ad.AnnData, rows: Bool[np.ndarray, " obs"], share: float
) -> Bool[np.ndarray, " obs"]:
    """Return which of `rows` are held back: a stripe at the end of each section's longer axis.

    A stripe and not single units, because neighbours see the same tissue.
    """
    kept_back = np.zeros(len(rows), dtype=bool)
    sections = units.obs["section"].astype(str).to_numpy()
    for section in np.unique(sections[rows]):
        own = np.flatnonzero(rows & (sections == section))
        spatial = units.obsm["spatial"][own]
        along = spatial[:, int(np.argmax(np.ptp(spatial, axis=0)))]
        last = np.argsort(along, kind="stable")[len(own) - round(share * len(own)) :]
        kept_back[own[last]] = True
    return kept_back


def inner_folds(
    groups: Shaped[np.ndarray, " obs"],
    spatial: Float[np.ndarray, "obs 2"],
    count: int,
) -> Int[np.ndarray, " obs"]:
    """Assign each training unit to one of `count` inner folds, to choose regularisation with.

    Whole groups are dealt out, largest first, to the smallest fold. Where there is one group only,
    the folds are spatial blocks: stripes of equal size along the section's longer axis.
    """
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) == 1:
        axis = int(np.argmax(np.ptp(spatial, axis=0)))
        rank = np.argsort(np.argsort(spatial[:, axis], kind="stable"), kind="stable")
        return rank * count // len(rank)
    load = np.zeros(min(count, len(names)), dtype=int)
    fold_of = {}
    for name, size in sorted(zip(names, sizes, strict=True), key=lambda pair: (-pair[1], pair[0])):
        fold_of[name] = int(np.argmin(load))
        load[fold_of[name]] += size
    return np.array([fold_of[group] for group in groups])
