"""Transcript counts of a simulated section."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from scipy.sparse import csr_matrix

from cell_synergy.core.errors import ConfigError
from cell_synergy.raw.simulator.cells import Cells, tally
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.simulator.states import levels


@dataclass(frozen=True)
class Panel:
    """Genes of a twin, the same in all its donors.

    Attributes
    ----------
    base
        Mean expression of each gene, to sum one.
    programmes
        Per latent state that expression shows: levels x genes, the logarithm of the fold change.
    """

    base: Float64[np.ndarray, " genes"]
    programmes: dict[str, Float64[np.ndarray, "levels genes"]]


def panel(config: SimulatorConfig, rng: np.random.Generator) -> Panel:
    """Draw the genes of a twin: each level of a state raises a gene programme of its own."""
    shown = {
        state: count for state, count in levels(config).items() if not state.startswith("image")
    }
    needed = sum(shown.values()) * config.programme_genes
    if needed > config.genes:
        raise ConfigError(
            f"simulator.genes is {config.genes}, its programmes need {needed}: "
            "raise genes or lower programme_genes"
        )
    base = rng.lognormal(0, 1, config.genes)
    order = iter(rng.permutation(config.genes).reshape(-1))
    programmes = {}
    for state, count in shown.items():
        programmes[state] = np.zeros((count, config.genes))
        fold = config.marker_fold_change if state == "shared_type" else config.fold_change
        for level in range(count):
            chosen = [next(order) for _ in range(config.programme_genes)]
            strength = rng.uniform(0.5, 1.5, config.programme_genes)
            programmes[state][level, chosen] = np.log(fold) * strength
    return Panel(base / base.sum(), programmes)


def counts(
    config: SimulatorConfig,
    genes: Panel,
    latent: pd.DataFrame,
    ratio: Float64[np.ndarray, "obs kinds"],
    rng: np.random.Generator,
) -> csr_matrix:
    """Draw the counts of one donor's units.

    A unit's profile is the mean over the cells in it of their types' profiles, times the fold
    changes of its states and of the donor's batch; counts are negative binomial around it
    (variance mu + `config.dispersion` mu^2), with library sizes log-normal over donors and units.

    Parameters
    ----------
    config, genes
        The twin and its genes.
    latent
        Units x states.
    ratio
        Share of each cell type in the units.
    rng
        Random stream of the donor's counts.

    Returns
    -------
    Units x genes, integers as float32.
    """
    profile = genes.base * (ratio @ np.exp(genes.programmes["shared_type"]))
    fold = np.zeros_like(profile)
    for state, programme in genes.programmes.items():
        if state != "shared_type":
            fold += programme[latent[state].to_numpy()]
    profile *= np.exp(fold + rng.normal(0, config.batch_sd, config.genes))
    profile /= profile.sum(axis=1, keepdims=True)
    library = rng.normal(0, config.library_sd) + rng.normal(0, config.library_sd, (len(profile), 1))
    mean = config.library_size * np.exp(library) * profile
    rate = rng.gamma(1 / config.dispersion, config.dispersion * mean)
    return csr_matrix(rng.poisson(rate).astype(np.float32))


def of_cells(
    counts: csr_matrix, genes: Panel, cells: Cells, rng: np.random.Generator
) -> tuple[csr_matrix, Int64[np.ndarray, " inside"]]:
    """Deal the transcripts of units out to the cells inside them.

    A transcript is of a type with a probability as the type's cells in the unit and its fold change
    of the gene say, and of any cell of this type.

    Parameters
    ----------
    counts, genes
        Units x genes, and what they were drawn with.
    cells
        The section's cells.
    rng
        Random stream of the donor's transcripts.

    Returns
    -------
    Cells x genes, which sum to the counts of the units; and which of all cells these are, in the
    order of their units.
    """
    fold = np.exp(genes.programmes["shared_type"])
    kinds, (units, width) = len(fold), counts.shape
    table = counts.tocoo()
    many = table.data.astype(np.int64)
    unit, gene = np.repeat(table.row, many), np.repeat(table.col, many)
    count = tally(cells, units, kinds)
    share = (count[unit] * fold[:, gene].T).cumsum(axis=1)
    kind = (rng.random(len(unit)) * share[:, -1] >= share[:, :-1].T).sum(axis=0)
    inside = np.flatnonzero(cells.inside)
    order = inside[np.lexsort((cells.kind[inside], cells.unit[inside]))]
    first = (count.cumsum() - count.ravel()).reshape(count.shape)
    own = count[unit, kind]
    cell = first[unit, kind] + (rng.random(len(unit)) * own).astype(np.int64)
    ones = np.ones(len(unit), dtype=np.float32)
    dealt = csr_matrix((ones, (cell, gene)), shape=(len(order), width))
    dealt.sum_duplicates()
    return dealt, order
