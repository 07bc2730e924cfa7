"""Who is trained on, who is judged: no donor is ever on both sides."""

from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from cell_synergy.core.errors import DataError
from cell_synergy.data.units.dataset import Dataset


@dataclass(frozen=True)
class Fold:
    """One split of the units.

    Attributes
    ----------
    name
        `holdout`, or the donor (section) that is left out.
    align
        Units that alignment and standardisation are fitted on.
    probe
        Units that probes are fitted on: those of `align`, and donors of role `probe`.
    test
        Units that are scored.
    """

    name: str
    align: Bool[np.ndarray, " units"]
    probe: Bool[np.ndarray, " units"]
    test: Bool[np.ndarray, " units"]


def folds(obs: pd.DataFrame, dataset: Dataset) -> list[Fold]:
    """Return the folds of a data set's paired units.

    Raises
    ------
    DataError
        If the split needs more donors (sections) than `obs` has.
    """
    groups = obs[dataset.group].astype(str).to_numpy()
    if dataset.split == "holdout":
        role_of = dataset.role_of
        roles = np.array([role_of[group] for group in groups])
        train, probe, test = (roles == role for role in ("train", "probe", "test"))
        for role, mask in (("train", train), ("test", test)):
            if not mask.any():
                raise DataError(
                    f"split 'holdout' needs units of role {role!r} and found none: "
                    f"check `roles` against the donors {sorted(set(groups))}"
                )
        return [Fold("holdout", train, train | probe, test)]
    if dataset.split == "leave-one-section-out":
        _require_one_section_each(obs)
    names = sorted(set(groups))
    if len(names) < 2:  # noqa: PLR2004 - one to learn from and one to judge by
        raise DataError(
            f"split {dataset.split!r} needs at least two {dataset.group}s, found {names}: "
            "add tissue or choose another split"
        )
    return [Fold(name, groups != name, groups != name, groups == name) for name in names]


def _require_one_section_each(obs: pd.DataFrame) -> None:
    """Refuse to leave out sections where donors could be left out."""
    sections = obs[["donor", "section"]].drop_duplicates().groupby("donor", observed=True).size()
    if len(sections) > 1 and (sections > 1).any():
        donor = sections.idxmax()
        raise DataError(
            f"split 'leave-one-section-out' would put donor {donor!r}, who has {sections.max()} "
            "sections, on both sides; use 'leave-one-donor-out'"
        )


def held(
    units: ad.AnnData, rows: Bool[np.ndarray, " units"], share: float
) -> Bool[np.ndarray, " units"]:
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
    groups: Shaped[np.ndarray, " units"],
    spatial: Float[np.ndarray, "units 2"],
    count: int,
) -> Int[np.ndarray, " units"]:
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
