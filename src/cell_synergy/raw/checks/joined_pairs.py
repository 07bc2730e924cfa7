"""What is told of joined pairs: tasks, numbers of units; and what is remarked of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import anndata as ad
import numpy as np
from jaxtyping import Bool
from tqdm import tqdm

from cell_synergy.core.labels import some
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.remarks import REMARK
from cell_synergy.data.splits import Fold, contradictions, folds, held
from cell_synergy.raw.checks.problems import Told
from cell_synergy.raw.checks.task_labels import of_tasks


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
    images
        Whether an expert sees an image of every unit that is scored.
    """

    components: int
    batch: int
    held: float
    images: bool


NOTHING = Needs(components=0, batch=0, held=0.0, images=False)


def finish(
    told: Told, pairs: ad.AnnData, reference: ad.AnnData, dataset: DatasetConfig, needs: Needs
) -> None:
    """Check the joined pairs, refuse them if anything was told, and give them their remark."""
    split = [] if contradictions(pairs.obs, dataset) else folds(pairs.obs, dataset)
    told.add(of_tasks(pairs, dataset, split))
    told.add(of_sizes(pairs, split, needs))
    told.refuse()
    tell_expert(str(pairs.uns["source"]), reference, needs.components)
    if said := remark(dataset, pairs, reference):
        pairs.uns[REMARK] = said


def tell_expert(name: str, reference: ad.AnnData, components: int) -> None:
    """Say in the log if the expression expert cannot be fitted, which `pretrain` will refuse."""
    units, genes = reference.n_obs, int((~reference.var["panel"].to_numpy(bool)).sum())
    if components and min(units, genes) <= components:
        tqdm.write(
            f"{name}: the expression expert fits {components} components, which needs more "
            f"reference units ({units}) and genes ({genes}) than that: before it is fitted, name "
            "further reference donors, or lower `components` of the expert in `encoders`"
        )


def of_sizes(pairs: ad.AnnData, split: Sequence[Fold], needs: Needs) -> Iterator[str]:
    """Tell of images that an expert needs, and of pairs too few for methods to be trained."""
    name = str(pairs.uns["source"])
    images = pairs.uns["images"]
    if needs.images and (bare := sorted(section for section, image in images.items() if not image)):
        yield (
            f"{name}: no image of section {some(bare)}, which the image expert needs; add it, or "
            "make it a reference section, of which counts do"
        )
    few = [_learnt_from(pairs, fold, needs.held) for fold in split]
    if min(few, default=needs.batch) < needs.batch:
        yield (
            f"{name}: {min(few)} training pairs in the smallest fold, fewer than a step of "
            f"training.batch_size: {needs.batch}; add tissue, or set it lower"
        )


def _learnt_from(pairs: ad.AnnData, fold: Fold, share: float) -> int:
    kept_back: Bool[np.ndarray, " obs"] = held(pairs, fold.align, share)
    return int((fold.align & ~kept_back).sum())


def remark(dataset: DatasetConfig, pairs: ad.AnnData, reference: ad.AnnData) -> str:
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
