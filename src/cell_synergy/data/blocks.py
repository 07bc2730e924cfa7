"""Sections cut into blocks, for tissue of too few donors to leave one out.

A block is a stripe across the longer axis of a section; all have the same number of units but for
those that a gap takes. Units of two blocks lie `gap_um` apart along that axis: with the widest
field of view of the image expert as the gap, no pixel is seen in two blocks. What is learnt is
judged on tissue of the same section, stained and sequenced with it, so scores say nothing about
other donors.
"""

import anndata as ad
import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from cell_synergy.data.config import DatasetConfig

_ROUNDING = 1e-6  # um


def cut(places: Float[np.ndarray, "obs 2"], blocks: int, gap_um: float) -> Int[np.ndarray, " obs"]:
    """Return the block of each unit of a section, from 1 on; 0 in the gap between two blocks.

    Parameters
    ----------
    places
        Of the units, in micrometres.
    blocks
        How many there are to be; one that the gaps leave no unit is missing.
    gap_um
        Least distance between units of two blocks, in micrometres.
    """
    along = places[:, int(np.argmax(np.ptp(places, axis=0)))]
    first = np.arange(1, blocks) * len(along) // blocks  # of each block but the first
    first = first[first > 0]
    cuts = (np.sort(along)[first - 1] + np.sort(along)[first]) / 2
    distance = np.abs(along[:, None] - cuts).min(axis=1, initial=np.inf)
    block = 1 + np.searchsorted(cuts, along)
    return np.where(distance < gap_um / 2 - _ROUNDING, 0, block)


def name(section: str, block: int) -> str:
    """Return the name of a block, which is that of the fold that leaves it out."""
    return f"{section}-block{block}"


def parts(table: ad.AnnData, section: str, dataset: DatasetConfig) -> tuple[ad.AnnData, ad.AnnData]:
    """Return the units of a study section that are scored, and those that are the reference.

    Both have the block of each unit in `obs["block"]`. There is no unit of the second kind where
    reference donors are named; else the first block is the reference.
    """
    if dataset.blocks is None or dataset.gap_um is None:
        return table, table[:0]
    places = np.asarray(table.obsm["spatial"], dtype=np.float64)
    block = cut(places, dataset.blocks, dataset.gap_um)
    kept = table[block > 0].copy()
    kept.obs["block"] = [name(section, number) for number in block[block > 0].tolist()]
    if lost := table.n_obs - kept.n_obs:
        tqdm.write(
            f"section {section}: {lost} of {table.n_obs} units dropped in the gaps of "
            f"{dataset.gap_um:g} um between {dataset.blocks} blocks"
        )
    first = (kept.obs["block"] == name(section, 1)).to_numpy() & ("reference" not in dataset.roles)
    return kept[~first].copy(), kept[first].copy()
