"""Simulated twins: tissue with known latent states, as raw files like anybody's.

A section is a grid of units. States on smooth random fields decide what its H&E image and its
transcript counts show; `shared_` states are seen by both, `image_` and `expression_` states by one.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float64
from scipy.sparse import csr_matrix

from cell_synergy.core.atomic import atomic
from cell_synergy.data.simulator import cells, expression, image, states
from cell_synergy.data.simulator.settings import Simulator
from cell_synergy.data.units import files
from cell_synergy.data.units.dataset import Role

Item = tuple[str, Role]


def simulate(
    name: str,
    config: Simulator,
    roles: Mapping[str, Role],
    out: Path,
    progress: Callable[[Iterable[Item]], Iterable[Item]],
) -> None:
    """Write the raw files of a simulated twin: `<donor>.h5ad` and `<donor>.tif` for each donor.

    Parameters
    ----------
    name
        The twin's name; part of its random streams.
    config
        Sizes, appearance and noise of the tissue.
    roles
        What each donor is for.
    out
        Folder of the files.
    progress
        Wraps the iteration over donors, as `tqdm` does.

    Raises
    ------
    ConfigError
        When `config` has no section size for a role, or too few genes for its programmes.
    """
    genes = expression.panel(config, states.stream(config, name, "genes"))
    tiles = image.textures(config, states.stream(config, name, "textures"))
    for donor, role in progress(roles.items()):
        rng = {
            purpose: states.stream(config, name, donor, purpose)
            for purpose in ("states", "cells", "image", "counts")
        }
        latent = states.sample(config, role, rng["states"])
        shape = config.units[role]
        placed = cells.place(config, shape, latent, rng["cells"])
        ratio = cells.composition(placed, len(latent), config.cell_types)
        latent["shared_type"] = ratio.argmax(axis=1)
        counts = expression.counts(config, genes, latent, ratio, rng["counts"])
        section = _section(donor, role, config, latent, ratio, counts)
        picture = image.render(config, shape, latent, placed, tiles, rng["image"])
        files.write(out / f"{donor}.h5ad", section)
        with atomic(out / f"{donor}.tif") as new:
            image.write(new, picture, config)


def _section(
    donor: str,
    role: Role,
    config: Simulator,
    latent: pd.DataFrame,
    ratio: Float64[np.ndarray, "units kinds"],
    counts: csr_matrix,
) -> AnnData:
    """Assemble the `.h5ad` of one donor."""
    units = pd.Index([f"{donor}_{unit:03d}" for unit in range(len(latent))])
    kinds = pd.Index(cells.TYPES[: config.cell_types])
    obs = states.labels(latent, config, role)
    obs["cell_type"] = pd.Categorical.from_codes(latent["shared_type"].to_numpy(), kinds)
    obs["donor"] = pd.Categorical([donor] * len(latent))
    row, column = np.divmod(np.arange(len(latent)), config.units[role][1])
    centre = config.margin_um + (np.stack([column, row], axis=1) + 0.5) * config.pitch_um
    section = AnnData(
        counts,
        obs=obs.set_index(units),
        var=pd.DataFrame(index=[f"SIM{gene:04d}" for gene in range(config.genes)]),
        obsm={
            "spatial": centre / config.mpp,
            "cell_type_ratio": pd.DataFrame(ratio, index=units, columns=kinds),
            "latent": latent.astype(np.int8).set_index(units),
        },
    )
    section.uns = {
        "simulated": True,
        "mpp": config.mpp,
        "visible": {
            task: {modality: np.array(shown, dtype=object) for modality, shown in parts.items()}
            for task, parts in states.visible(config).items()
        },
    }
    return section
