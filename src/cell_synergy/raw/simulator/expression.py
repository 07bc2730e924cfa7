"""Transcript counts of a simulated section."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from scipy.sparse import csr_matrix

from cell_synergy.core.errors import ConfigError
from cell_synergy.raw.simulator.cells import Cells, count_types
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.simulator.states import n_levels


@dataclass(frozen=True)
class GeneModel:
    """Expression of the genes of a simulated data set, equal for all of its donors.

    Attributes
    ----------
    baseline
        Mean expression of each gene, normalised to a sum of one.
    programmes
        Log fold changes, levels x genes, of each latent state that affects expression.
    """

    baseline: Float64[np.ndarray, " genes"]
    programmes: dict[str, Float64[np.ndarray, "levels genes"]]


def draw_genes(config: SimulatorConfig, rng: np.random.Generator) -> GeneModel:
    """Draw the genes of a data set, and the genes that each level of a latent state upregulates.

    Baselines are log-normal. Each level has a programme of `config.programme_genes` genes, which no
    other level has. Log fold changes are uniform between 0.5 and 1.5 times the log of
    `config.marker_fold_change` for cell types, and of `config.fold_change` for other states.

    Parameters
    ----------
    config
        Configuration of the data set.
    rng
        Random stream of the data set's genes.

    Raises
    ------
    ConfigError
        If the programmes need more genes than `config.genes`.
    """
    visible = {
        state: count for state, count in n_levels(config).items() if not state.startswith("image")
    }
    needed = sum(visible.values()) * config.programme_genes
    if needed > config.genes:
        raise ConfigError(
            f"simulator.genes is {config.genes}, but its programmes need {needed}: "
            "raise genes or lower programme_genes"
        )
    baseline = rng.lognormal(0, 1, config.genes)
    order = iter(rng.permutation(config.genes).reshape(-1))
    programmes = {}
    for state, count in visible.items():
        programmes[state] = np.zeros((count, config.genes))
        fold = config.marker_fold_change if state == "shared_type" else config.fold_change
        for level in range(count):
            columns = [next(order) for _ in range(config.programme_genes)]
            effect = rng.uniform(0.5, 1.5, config.programme_genes)
            programmes[state][level, columns] = np.log(fold) * effect
    return GeneModel(baseline / baseline.sum(), programmes)


def sample_counts(
    config: SimulatorConfig,
    genes: GeneModel,
    latent: pd.DataFrame,
    ratio: Float64[np.ndarray, "obs types"],
    rng: np.random.Generator,
) -> csr_matrix:
    """Draw the transcript counts of one donor's observations.

    The expected profile of an observation is the mean profile of its cell types, weighted by their
    shares, times the fold changes of its states and of the donor's batch effect. Counts are
    negative binomial (variance mu + `config.dispersion` mu^2), with library sizes log-normal over
    donors and over observations.

    Parameters
    ----------
    config, genes
        Configuration of the data set, and its genes.
    latent
        Latent states, observations x states.
    ratio
        Share of each cell type in each observation.
    rng
        Random stream of the donor's counts.

    Returns
    -------
    Observations x genes, integers as float32.
    """
    profile = genes.baseline * (ratio @ np.exp(genes.programmes["shared_type"]))
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


def split_over_cells(
    counts: csr_matrix, genes: GeneModel, cells: Cells, rng: np.random.Generator
) -> tuple[csr_matrix, Int64[np.ndarray, " inside"]]:
    """Assign each transcript of an observation to one of the cells inside of it.

    The cell type is drawn with probability proportional to the number of cells of the type in the
    observation times the type's fold change of the gene; the cell is drawn uniformly within the
    type.

    Parameters
    ----------
    counts, genes
        Transcript counts, observations x genes, and the genes that they were drawn with.
    cells
        The section's cells.
    rng
        Random stream of the donor's transcripts.

    Returns
    -------
    Cells x genes, which sum to the counts of the observations; and the indices of these cells in
    `cells`, ordered by observation and type.
    """
    fold = np.exp(genes.programmes["shared_type"])
    n_types, (n_obs, n_genes) = len(fold), counts.shape
    coo = counts.tocoo()
    repeats = coo.data.astype(np.int64)
    row, gene = np.repeat(coo.row, repeats), np.repeat(coo.col, repeats)
    count = count_types(cells, n_obs, n_types)
    weight = (count[row] * fold[:, gene].T).cumsum(axis=1)
    cell_type = (rng.random(len(row)) * weight[:, -1] >= weight[:, :-1].T).sum(axis=0)
    inside = np.flatnonzero(cells.inside)
    order = inside[np.lexsort((cells.cell_type[inside], cells.obs_index[inside]))]
    first = (count.cumsum() - count.ravel()).reshape(count.shape)
    n_cells = count[row, cell_type]
    cell = first[row, cell_type] + (rng.random(len(row)) * n_cells).astype(np.int64)
    ones = np.ones(len(row), dtype=np.float32)
    cell_counts = csr_matrix((ones, (cell, gene)), shape=(len(order), n_genes))
    cell_counts.sum_duplicates()
    return cell_counts, order
