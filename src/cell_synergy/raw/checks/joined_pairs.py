"""Joined pairs: whether later stages can use them, and the remark that their tables carry."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import anndata as ad
import numpy as np
from jaxtyping import Bool
from tqdm import tqdm

from cell_synergy.core.labels import preview
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.remarks import REMARK
from cell_synergy.data.splits import Fold, draw_validation_mask, fold_problems, folds
from cell_synergy.raw.checks.problems import Problems
from cell_synergy.raw.checks.task_labels import task_problems


@dataclass(frozen=True)
class StageRequirements:
    """What later stages require of the pairs, taken from params.yaml.

    Attributes
    ----------
    components
        Number of components that the expression expert fits; it needs more reference observations
        and more genes than that.
    batch
        Batch size of a trained method, in pairs.
    held
        Share of each training section that is held back for validation.
    images
        Whether an expert needs an image of every scored observation.
    """

    components: int
    batch: int
    held: float
    images: bool


NO_REQUIREMENTS = StageRequirements(components=0, batch=0, held=0.0, images=False)


def check_pairs(
    problems: Problems,
    pairs: ad.AnnData,
    reference: ad.AnnData,
    dataset: DatasetConfig,
    requirements: StageRequirements,
) -> None:
    """Check the joined pairs, raise every problem collected so far, and set the pairs' remark.

    Parameters
    ----------
    problems
        Problems that earlier checks collected.
    pairs, reference
        Study observations with their labels, and reference observations. A caveat about the data
        set, its remark, is set in `uns["remark"]` of `pairs`.
    dataset
        Configuration of the data set.
    requirements
        What later stages require.

    Raises
    ------
    DataError
        If there is any problem, from here or from earlier checks; the message lists all.
    """
    split = [] if fold_problems(pairs.obs, dataset) else folds(pairs.obs, dataset)
    problems.add(task_problems(pairs, dataset, split))
    problems.add(requirement_problems(pairs, split, requirements))
    problems.raise_if_any()
    warn_small_reference(str(pairs.uns["source"]), reference, requirements.components)
    if text := dataset_remark(dataset, pairs, reference):
        pairs.uns[REMARK] = text


def warn_small_reference(name: str, reference: ad.AnnData, components: int) -> None:
    """Warn in the log if the reference is too small for the expression expert to be fitted.

    The stage `embed` refuses such a reference.

    Parameters
    ----------
    name
        The data set's name.
    reference
        Reference observations, with the gene panel in `var["panel"]`.
    components
        Number of components that the expert fits; 0 for an expert that is not fitted.
    """
    n_obs, n_genes = reference.n_obs, int((~reference.var["panel"].to_numpy(bool)).sum())
    if components and min(n_obs, n_genes) <= components:
        tqdm.write(
            f"{name}: the expression expert fits {components} components, which needs more "
            f"reference observations ({n_obs}) and genes ({n_genes}) than that: before it is "
            "fitted, name further reference donors, or lower `components` of the expert in "
            "`encoders`"
        )


def requirement_problems(
    pairs: ad.AnnData, split: Sequence[Fold], requirements: StageRequirements
) -> Iterator[str]:
    """Yield a message on sections without the image that an expert needs, and one on small folds.

    A fold is too small if its training pairs, without those held back for validation, are fewer
    than one batch.

    Parameters
    ----------
    pairs
        The joined pairs.
    split
        The folds; empty if the split is impossible.
    requirements
        What later stages require.
    """
    name = str(pairs.uns["source"])
    images = pairs.uns["images"]
    without = sorted(section for section, image in images.items() if not image)
    if requirements.images and without:
        yield (
            f"{name}: no image of section {preview(without)}, which the image expert needs; add "
            "it, or make it a reference section, which needs counts only"
        )
    sizes = [_n_training_pairs(pairs, fold, requirements.held) for fold in split]
    if min(sizes, default=requirements.batch) < requirements.batch:
        yield (
            f"{name}: {min(sizes)} training pairs in the smallest fold, fewer than one batch of "
            f"training.batch_size: {requirements.batch}; add tissue, or lower it"
        )


def _n_training_pairs(pairs: ad.AnnData, fold: Fold, share: float) -> int:
    """Return the number of training pairs of a fold without those held back for validation."""
    validation_mask: Bool[np.ndarray, " obs"] = draw_validation_mask(pairs, fold.align, share)
    return int((fold.align & ~validation_mask).sum())


def dataset_remark(dataset: DatasetConfig, pairs: ad.AnnData, reference: ad.AnnData) -> str:
    """Return the caveat that every table of the data set carries as `remark`; "" if there is none.

    There is one for a split into blocks of a section, and if donors of the reference are also in
    the study.

    Parameters
    ----------
    dataset
        Configuration of the data set.
    pairs, reference
        Study observations, and reference observations.
    """
    remarks = []
    if dataset.block_split is not None:
        remarks.append(
            f"split into blocks of a section, {dataset.block_split.gap_um:g} um apart: nothing "
            "about other donors"
        )
    scored_donors = set(pairs.obs["donor"].astype(str))
    sections = reference.obs[["section", "donor"]].astype(str).drop_duplicates()
    shared = sections[sections["donor"].isin(scored_donors)]
    if shared.empty:
        return "; ".join(remarks)
    if "block" in reference.obs:
        remarks.append(
            "the reference, on which experts are fitted, is the first block of each section"
        )
    else:
        names = ", ".join(f"{row.section} of donor {row.donor}" for row in shared.itertuples())
        remarks.append(f"reference section {names}, who is also scored")
    return "; ".join(remarks)
