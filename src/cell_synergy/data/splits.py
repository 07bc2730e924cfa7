"""Training and test folds of a data set; no donor (section, block) is in both."""

from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from cell_synergy.core.errors import DataError
from cell_synergy.data.study_design import BLOCKS, DesignConfig

BLOCKS_HINT = (
    f"`split: {{kind: {BLOCKS}, blocks: 5, gap_um: 336}}`, which is possible with one section and "
    "says nothing about other donors (`blocks` of a section, with gaps as wide as the widest field "
    "of view of the image expert)"
)


@dataclass(frozen=True)
class Fold:
    """One division of the observations into training and test rows.

    Attributes
    ----------
    name
        `holdout`, or the donor (section, block) that is left out.
    align
        Mask of the observations that alignment and standardisation are fitted on.
    probe
        Mask of the observations that probes are fitted on: those of `align`, and those of donors
        of role `probe`.
    test
        Mask of the observations that are scored.
    """

    name: str
    align: Bool[np.ndarray, " obs"]
    probe: Bool[np.ndarray, " obs"]
    test: Bool[np.ndarray, " obs"]


def split_groups(obs: pd.DataFrame, dataset: DesignConfig) -> Shaped[np.ndarray, " obs"]:
    """Return the group of each observation: its donor, section or block.

    All observations of a group are in training, or all in test.

    Parameters
    ----------
    obs
        One row per paired observation.
    dataset
        Configuration with the split, which decides between donor, section and block.

    Raises
    ------
    DataError
        If `obs` lacks the column of the groups, since the pairs were made for another split.
    """
    if dataset.group not in obs:
        raise DataError(
            f"the pairs have no obs[{dataset.group!r}]: they were made for another split than "
            f"{dataset.split.kind!r}; make them again (`dvc repro pairs`)"
        )
    return obs[dataset.group].astype(str).to_numpy()


def folds(obs: pd.DataFrame, dataset: DesignConfig) -> list[Fold]:
    """Return the folds of a data set's paired observations, sorted by name.

    Under `holdout` there is one; otherwise one for each donor (section, block) that is left out.

    Parameters
    ----------
    obs
        One row per paired observation, with the columns `donor`, `section` and, under a split by
        blocks, `block`.
    dataset
        Configuration with split and roles.

    Raises
    ------
    DataError
        If the pairs were made for another split, `obs` lacks donors (sections, blocks) that the
        split needs, or `leave-one-section-out` would put sections of one donor into training and
        test, although there are other donors.
    """
    groups = split_groups(obs, dataset)
    if problems := fold_problems(obs, dataset):
        raise DataError("; ".join(problems))
    if dataset.split.kind == "holdout":
        role_of = dataset.role_of
        roles = np.array([role_of.get(group, "") for group in groups])
        train, probe, test = (roles == role for role in ("train", "probe", "test"))
        return [Fold("holdout", train, train | probe, test)]
    names = sorted(set(groups))
    return [Fold(name, groups != name, groups != name, groups == name) for name in names]


def fold_problems(obs: pd.DataFrame, dataset: DesignConfig) -> list[str]:
    """Return the reasons why the split is impossible with the donors in `obs`, and the remedies.

    Parameters
    ----------
    obs
        One row per observation or per section, without reference donors, with the columns `donor`
        and `section`, and `block` under a split by blocks.
    dataset
        Configuration with split and roles.

    Returns
    -------
    :
        Sentences for a message; empty where the split is possible.
    """
    split, names = dataset.split.kind, sorted(set(obs[dataset.group].astype(str)))
    if split == "holdout":
        roles = {dataset.role_of.get(name) for name in names}
        return [
            f"split 'holdout' needs observations of role {role!r} and found none: check `roles` "
            f"against the donors {names}"
            for role in ("train", "test")
            if role not in roles
        ]
    if split == "leave-one-section-out" and (problem := _divided_donor(obs)):
        return [problem]
    if len(names) > 1:  # one to train on and one to test on
        return []
    if split == BLOCKS:
        remedy = "raise `blocks`, lower `gap_um`, or add tissue"
        return [f"split {split!r} needs two blocks beside the reference, found {names}: {remedy}"]
    needs = f"at least two {dataset.group}s to score (an interval five donors), and a reference"
    return [f"split {split!r} needs {needs}, found {names}: add tissue, or take {BLOCKS_HINT}"]


def _divided_donor(obs: pd.DataFrame) -> str:
    """Return a sentence on a donor whose sections would be in training and test; empty if none."""
    sections = obs[["donor", "section"]].drop_duplicates().groupby("donor", observed=True).size()
    if len(sections) < 2 or (sections == 1).all():  # noqa: PLR2004 - one donor
        return ""
    donor, count = sections.idxmax(), sections.max()
    return (
        f"split 'leave-one-section-out' would put donor {donor!r}, who has {count} sections, on "
        f"both sides; use 'leave-one-donor-out', with a further donor as reference, or "
        f"{BLOCKS_HINT}"
    )


def draw_validation_mask(
    adata: ad.AnnData, mask: Bool[np.ndarray, " obs"], fraction: float
) -> Bool[np.ndarray, " obs"]:
    """Return a mask of validation observations: a stripe at the end of each section's longer axis.

    The stripe has the largest coordinates along the axis. Observations drawn at random would not be
    independent of training, since neighbours share tissue.

    Parameters
    ----------
    adata
        Observations with `obs["section"]`, and coordinates of any unit in `obsm["spatial"]`.
    mask
        Mask of the observations that are divided into training and validation.
    fraction
        Fraction of the observations in `mask` that is used for validation, in each section.

    Returns
    -------
    Mask over all observations, a subset of `mask`.
    """
    validation = np.zeros(len(mask), dtype=bool)
    sections = adata.obs["section"].astype(str).to_numpy()
    for section in np.unique(sections[mask]):
        index = np.flatnonzero(mask & (sections == section))
        coords = adata.obsm["spatial"][index]
        position = coords[:, int(np.argmax(np.ptp(coords, axis=0)))]
        n_train = len(index) - round(fraction * len(index))
        validation[index[np.argsort(position, kind="stable")[n_train:]]] = True
    return validation


def inner_folds(
    groups: Shaped[np.ndarray, " obs"],
    coords: Float[np.ndarray, "obs 2"],
    n_folds: int,
) -> Int[np.ndarray, " obs"]:
    """Assign each training observation to a fold of the inner cross-validation.

    Groups are assigned whole, the largest first, each to the fold with the fewest observations.
    With one group only, the folds are stripes of equal size along the longer axis of the tissue.

    Parameters
    ----------
    groups
        Donor, section or block of each training observation.
    coords
        Coordinates x and y of the observations, in any unit; used with a single group only.
    n_folds
        Largest number of folds. If there are at least two groups but no more than `n_folds`, each
        group is a fold.

    Returns
    -------
    :
        Fold of each observation, from 0.
    """
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) == 1:
        axis = int(np.argmax(np.ptp(coords, axis=0)))
        rank = np.argsort(np.argsort(coords[:, axis], kind="stable"), kind="stable")
        return rank * n_folds // len(rank)
    load = np.zeros(min(n_folds, len(names)), dtype=int)
    fold_of = {}
    for name, size in sorted(zip(names, sizes, strict=True), key=lambda pair: (-pair[1], pair[0])):
        fold_of[name] = int(np.argmin(load))
        load[fold_of[name]] += size
    return np.array([fold_of[group] for group in groups])
