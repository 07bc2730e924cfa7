"""Simulator of paired data sets with known latent states, written as raw files of a platform.

A section is a lattice of observations. Latent states, drawn as smooth random fields, determine its
H&E image and its transcript counts: `shared_` states affect both modalities, `image_` and
`expression_` states one. `simulate` and `config.SimulatorConfig` may be used outside of this
folder; the other modules are internal.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from cell_synergy.core.files import atomic_write
from cell_synergy.data.study_design import Role
from cell_synergy.raw.simulator import cells, expression, image, native, states
from cell_synergy.raw.simulator.config import SimulatorConfig

_DonorRole = tuple[str, Role]


def simulate(
    name: str,
    config: SimulatorConfig,
    roles: Mapping[str, Role],
    out: Path,
    progress: Callable[[Iterable[_DonorRole]], Iterable[_DonorRole]],
) -> None:
    """Write the raw files of a simulated data set.

    Each donor has a folder with one section in the file layout of `config.platform` and its image.
    Files of all donors together are `labels.csv.gz` (for Visium also `composition.csv.gz`) and the
    ground truth, which no real data set has: `latent.csv.gz` with the states of each observation at
    x and y in micrometres, and `visible.json` with the states on which the label of each task
    depends, by the modality that they affect.

    Parameters
    ----------
    name
        Name of the data set, from which its random streams are derived.
    config
        Sizes, appearance and noise of the tissue.
    roles
        Role of each donor.
    out
        Folder that the files are written to.
    progress
        Progress bar around the iteration over donors, such as `tqdm`.

    Raises
    ------
    ConfigError
        If `config` has no section size for a role, or too few genes for its programmes.
    """
    genes = expression.draw_genes(config, states.stream(config, name, "genes"))
    textures = image.draw_textures(config, states.stream(config, name, "textures"))
    tables: dict[str, list[pd.DataFrame]] = {"latent": []}
    for donor, role in progress(roles.items()):

        def stream(purpose: str, donor: str = donor) -> np.random.Generator:
            return states.stream(config, name, donor, purpose)

        latent = states.sample(config, role, stream("states"))
        section = _draw_section(donor, role, config, genes, latent, stream)
        picture = image.render(
            config, section.lattice, latent, section.cells, textures, stream("image")
        )
        with atomic_write(out / donor) as folder:
            folder.mkdir()
            image.write(folder / f"{donor}.tif", picture, config)
            donor_tables = native.WRITERS[config.platform](folder, section, config)
        centres = pd.DataFrame(section.lattice.centres.round(3), columns=["x", "y"])
        donor_tables["latent"] = pd.concat([centres, latent], axis=1)
        donor_tables["latent"].insert(0, "section", donor)
        for kind, table in donor_tables.items():
            tables.setdefault(kind, []).append(table)
    for kind, parts in tables.items():
        native.write_table(out / f"{kind}.csv.gz", pd.concat(parts))
    text = json.dumps(states.visible(config), indent=1)
    (out / "visible.json").write_text(text + "\n", encoding="utf-8")


def _draw_section(
    donor: str,
    role: Role,
    config: SimulatorConfig,
    genes: expression.GeneModel,
    latent: pd.DataFrame,
    stream: Callable[[str], np.random.Generator],
) -> native.SimulatedSection:
    """Draw cells, counts and labels of one donor.

    `latent["shared_type"]` is replaced, in place, by the most frequent cell type of each
    observation.
    """
    lattice = config.lattice(role)
    sampled = cells.sample(config, lattice, latent, stream("cells"))
    count = cells.count_types(sampled, lattice.n_obs, config.cell_types)
    ratio = count / count.sum(axis=1, keepdims=True)
    by_name = np.argsort(cells.TYPES[: config.cell_types])  # ties go to the first type by name
    latent["shared_type"] = by_name[ratio[:, by_name].argmax(axis=1)]
    counts = expression.sample_counts(config, genes, latent, ratio, stream("counts"))
    cell_counts, order = expression.split_over_cells(counts, genes, sampled, stream("transcripts"))
    labels = states.labels(latent, config, role)
    labels["cell_type"] = np.asarray(cells.TYPES)[latent["shared_type"]]
    return native.SimulatedSection(
        donor, lattice, sampled, labels, ratio, counts, cell_counts, order
    )
