"""Drawn twins: simulated data sets whose image embeddings are drawn instead of rendered.

Latent states, cells and counts are those of the simulator (`cell_synergy.raw.simulator`), and the
expression expert is a PCA fitted on drawn reference donors. No image is rendered: an image
embedding is a linear model of the states, the sum of a mean vector for the level of each state that
affects images, a shift that all observations of a donor share, and Gaussian noise of unit variance
in every feature. A twin costs about half a CPU second, so that designs can be compared that would
take hours to render.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32

from cell_synergy.core.config import validate
from cell_synergy.core.random import stream
from cell_synergy.data.config import ClassificationTask, Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.source_config import SimulatorSource
from cell_synergy.data.splits import folds
from cell_synergy.data.study_design import DesignConfig, Role
from cell_synergy.encoders.pca import Expert
from cell_synergy.raw.simulator import cells, expression, states
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.studies.config import DrawnTwinConfig
from cell_synergy.studies.truth import Visible

NAME = "drawn"  # of every drawn twin, from which the simulator's random streams are derived


@dataclass(frozen=True)
class DrawnTwin:
    """A drawn twin and its truth.

    Attributes
    ----------
    paired
        Observations of all donors but the reference, with both embeddings, labels and one fold.
    tasks
        The classification tasks of the simulator, by name.
    latent
        True level of each latent state (column) of every observation (row).
    visible
        Latent states that determine a label and are visible in a modality, by task and modality.
    """

    paired: PairedDataset
    tasks: Mapping[str, Task]
    latent: pd.DataFrame
    visible: Visible


def simulator_config(shared: Mapping[str, object], source: SimulatorSource) -> SimulatorConfig:
    """Return the simulator's configuration of a data set; its observations are grid squares.

    Parameters
    ----------
    shared
        The section `simulator` of params.yaml.
    source
        The block `source` of the data set.

    Raises
    ------
    ConfigError
        If a shared value is missing or wrong.
    """
    values = {**shared, **source.tissue(), "platform": "xenium"}
    return validate(SimulatorConfig, values, "simulator")


def draw_twin(config: DrawnTwinConfig, simulator: SimulatorConfig, expert: Expert) -> DrawnTwin:
    """Draw a twin.

    Parameters
    ----------
    config
        Donors, and the linear model of the image embeddings.
    simulator
        Configuration of states, counts and sections, with the seed of the twin.
    expert
        The expression expert, which is fitted on the reference donors.

    Raises
    ------
    ConfigError
        If the simulator has too few genes for its programmes, or no section size for a role.
    DataError
        If there are too few reference observations for the expression expert.
    """
    genes = expression.draw_genes(simulator, states.stream(simulator, NAME, "genes"))
    means = _level_means(config, simulator)
    sections: dict[bool, list[_Section]] = {True: [], False: []}
    for role, donors in config.roles().items():
        for donor in donors:
            section = _draw_section(donor, role, config, simulator, genes, means)
            sections[role == "reference"].append(section)
    reference = ad.concat([section.adata for section in sections[True]], merge="same")
    pairs = ad.concat([section.adata for section in sections[False]], merge="same")
    for adata in (reference, pairs):
        adata.uns["source"] = NAME
    design = DesignConfig.model_validate(
        {"roles": config.roles(), "standardise": "train", "split": "holdout"}
    )
    donor = pairs.obs["donor"].astype(str).to_numpy()
    paired = PairedDataset(
        adata=pairs,
        image=np.concatenate([section.image for section in sections[False]]),
        expression=_embed_expression(expert, reference, pairs),
        groups=donor,
        donor=donor,
        folds=folds(pairs.obs, design),
        mode="train",
    )
    latent = pd.concat([section.latent for section in sections[False]], ignore_index=True)
    visible = states.visible(simulator)
    task = ClassificationTask(kind="classification")
    return DrawnTwin(paired, dict.fromkeys(visible, task), latent, visible)


@dataclass(frozen=True)
class _Section:
    """Observations of one donor: counts and labels, image embeddings, and true states."""

    adata: ad.AnnData
    image: Float32[np.ndarray, "obs width"]
    latent: pd.DataFrame


def _level_means(config: DrawnTwinConfig, simulator: SimulatorConfig) -> dict[str, np.ndarray]:
    """Return the mean embeddings (levels x width) of each state that affects images."""
    rng = stream(simulator.seed, NAME, "image means")
    scale = config.visibility / np.sqrt(2 * config.width)
    return {
        state: scale * rng.standard_normal((levels, config.width))
        for state, levels in states.n_levels(simulator).items()
        if not state.startswith("expression")
    }


def _draw_section(
    donor: str,
    role: Role,
    config: DrawnTwinConfig,
    simulator: SimulatorConfig,
    genes: expression.GeneModel,
    means: Mapping[str, np.ndarray],
) -> _Section:
    """Draw the observations of one donor, as the simulator does, and their image embeddings."""

    def rng(purpose: str) -> np.random.Generator:
        return states.stream(simulator, NAME, donor, purpose)

    lattice = simulator.lattice(role)
    latent = states.sample(simulator, role, rng("states"))
    sampled = cells.sample(simulator, lattice, latent, rng("cells"))
    count = cells.count_types(sampled, lattice.n_obs, simulator.cell_types)
    ratio = count / count.sum(axis=1, keepdims=True)
    by_name = np.argsort(cells.TYPES[: simulator.cell_types])  # ties go to the first type by name
    latent["shared_type"] = by_name[ratio[:, by_name].argmax(axis=1)]
    labels = states.labels(latent, simulator, role)
    labels["cell_type"] = pd.Categorical.from_codes(
        latent["shared_type"], categories=pd.Index(cells.TYPES[: simulator.cell_types])
    )
    labels.index = pd.Index([f"{donor}-{number}" for number in range(lattice.n_obs)])
    adata = ad.AnnData(
        expression.sample_counts(simulator, genes, latent, ratio, rng("counts")),
        obs=labels.assign(donor=donor, section=donor),
        obsm={"spatial": lattice.centres},
    )
    adata.var_names = pd.Index([f"gene{number}" for number in range(adata.n_vars)])
    adata.var["panel"] = False
    noise = stream(simulator.seed, NAME, "image noise", donor)
    image = noise.standard_normal((lattice.n_obs, config.width))
    image += config.donor_sd * noise.standard_normal(config.width)
    for state, of_level in means.items():
        image += of_level[latent[state].to_numpy()]
    return _Section(adata, image.astype(np.float32), latent)


def _embed_expression(
    expert: Expert, reference: ad.AnnData, pairs: ad.AnnData
) -> Float32[np.ndarray, "obs dim"]:
    """Fit the expression expert on the reference donors, and embed the pairs."""
    with TemporaryDirectory() as folder:
        expert.freeze(reference, Path(folder))
        return expert.embed(pairs, Path(folder), Path(folder))
