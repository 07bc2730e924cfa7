"""Simulated twins: tissue with known latent states, as raw files like anybody's.

A section is a lattice of units. States on smooth random fields decide what its H&E image and its
transcript counts show; `shared_` states are seen by both, `image_` and `expression_` states by one.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from cell_synergy.core.files import atomic
from cell_synergy.data.config import Role
from cell_synergy.raw.simulator import cells, expression, image, native, states
from cell_synergy.raw.simulator.config import SimulatorConfig

Item = tuple[str, Role]


def simulate(
    name: str,
    config: SimulatorConfig,
    roles: Mapping[str, Role],
    out: Path,
    progress: Callable[[Iterable[Item]], Iterable[Item]],
) -> None:
    """Write the raw files of a simulated twin.

    One folder for each donor, with its section in the layout of `config.platform` and its image;
    `labels.csv.gz` (Visium: `composition.csv.gz` too); and what nobody would know of real tissue:
    `latent.csv.gz`, the true states of every unit at x and y in micrometres, and `visible.json`,
    which of them each task's label depends on, by the modality that shows them.

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
    tables: dict[str, list[pd.DataFrame]] = {"latent": []}
    for donor, role in progress(roles.items()):

        def stream(purpose: str, donor: str = donor) -> np.random.Generator:
            return states.stream(config, name, donor, purpose)

        latent = states.sample(config, role, stream("states"))
        drawn = _draw(donor, role, config, genes, latent, stream)
        picture = image.render(config, drawn.lattice, latent, drawn.placed, tiles, stream("image"))
        with atomic(out / donor) as folder:
            folder.mkdir()
            image.write(folder / f"{donor}.tif", picture, config)
            written = native.WRITERS[config.platform](folder, drawn, config)
        centres = pd.DataFrame(drawn.lattice.centres.round(3), columns=["x", "y"])
        written["latent"] = pd.concat([centres, latent], axis=1)
        written["latent"].insert(0, "section", donor)
        for kind, table in written.items():
            tables.setdefault(kind, []).append(table)
    for kind, parts in tables.items():
        native.write_table(out / f"{kind}.csv.gz", pd.concat(parts))
    text = json.dumps(states.visible(config), indent=1)
    (out / "visible.json").write_text(text + "\n", encoding="utf-8")


def _draw(
    donor: str,
    role: Role,
    config: SimulatorConfig,
    genes: expression.Panel,
    latent: pd.DataFrame,
    stream: Callable[[str], np.random.Generator],
) -> native.Drawn:
    """Draw cells, counts and labels of one donor; the dominant type joins the latent states."""
    lattice = config.lattice(role)
    placed = cells.place(config, lattice, latent, stream("cells"))
    count = cells.tally(placed, lattice.units, config.cell_types)
    share = count / count.sum(axis=1, keepdims=True)
    by_name = np.argsort(cells.TYPES[: config.cell_types])  # of two as frequent the first by name
    latent["shared_type"] = by_name[share[:, by_name].argmax(axis=1)]
    counts = expression.counts(config, genes, latent, share, stream("counts"))
    dealt, order = expression.of_cells(counts, genes, placed, stream("transcripts"))
    labels = states.labels(latent, config, role)
    labels["cell_type"] = np.asarray(cells.TYPES)[latent["shared_type"]]
    return native.Drawn(donor, lattice, placed, labels, share, counts, dealt, order)
