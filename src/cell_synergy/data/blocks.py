"""Sections divided into blocks, for tissue of too few donors to leave one out.

A block is a stripe across the longer axis of a section. All blocks of a section have the same
number of observations (patches, spots or cells) before those in the gaps are dropped. Observations
of two blocks are at least `gap_um` apart along that axis: if the gap is the widest field of view of
the image expert, no pixel is in the fields of view of two blocks. Training and test blocks are of
one section, stained and sequenced together, so the scores do not generalise to other donors.
"""

import anndata as ad
import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from cell_synergy.data.study_design import DesignConfig

_ROUNDING = 1e-6  # um; tolerance for distances of exactly half a gap


def assign_blocks(
    coords: Float[np.ndarray, "obs 2"], n_blocks: int, gap_um: float
) -> Int[np.ndarray, " obs"]:
    """Return the block of each observation of a section, from 1 on, and 0 in the gaps.

    Parameters
    ----------
    coords
        Coordinates x and y of the observations, in micrometres.
    n_blocks
        Number of blocks; a block whose observations are all in gaps does not occur in the result.
    gap_um
        Minimum distance between observations of two blocks along the section's longer axis, in
        micrometres.
    """
    position = coords[:, int(np.argmax(np.ptp(coords, axis=0)))]
    first = np.arange(1, n_blocks) * len(position) // n_blocks  # of each block but the first
    first = first[first > 0]
    ordered = np.sort(position)
    boundaries = (ordered[first - 1] + ordered[first]) / 2
    distance = np.abs(position[:, None] - boundaries).min(axis=1, initial=np.inf)
    block = 1 + np.searchsorted(boundaries, position)
    return np.where(distance < gap_um / 2 - _ROUNDING, 0, block)


def block_name(section: str, block: int) -> str:
    """Return `<section>-block<number>`, the name of a block and of the fold that leaves it out.

    Parameters
    ----------
    section
        Name of the section.
    block
        Number of the block, from 1.
    """
    return f"{section}-block{block}"


def split_reference(
    adata: ad.AnnData, section: str, dataset: DesignConfig
) -> tuple[ad.AnnData, ad.AnnData]:
    """Divide a study section into the observations that are scored and those of the reference.

    Under a split by blocks, `obs["block"]` of both names the block of each observation, and the
    reference is the first block, or empty if `roles` has reference donors. Under other splits the
    reference is empty.

    Parameters
    ----------
    adata
        Observations of one section, with coordinates in micrometres in `obsm["spatial"]`.
    section
        Name of the section.
    dataset
        Configuration with split and roles.

    Returns
    -------
    Scored and reference observations. Under a split by blocks, observations in the gaps between
    blocks are in neither, and their number is logged.
    """
    if (split := dataset.block_split) is None:
        return adata, adata[:0]
    coords = np.asarray(adata.obsm["spatial"], dtype=np.float64)
    block = assign_blocks(coords, split.blocks, split.gap_um)
    outside_gaps = adata[block > 0].copy()
    outside_gaps.obs["block"] = [
        block_name(section, number) for number in block[block > 0].tolist()
    ]
    if n_dropped := adata.n_obs - outside_gaps.n_obs:
        tqdm.write(
            f"section {section}: {n_dropped} of {adata.n_obs} observations dropped in the gaps of "
            f"{split.gap_um:g} um between {split.blocks} blocks"
        )
    is_first = (outside_gaps.obs["block"] == block_name(section, 1)).to_numpy()
    is_reference = is_first & ("reference" not in dataset.roles)
    return outside_gaps[~is_reference].copy(), outside_gaps[is_reference].copy()
