"""Latent tissue states of a simulated section, and the labels that follow from them."""

import zlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from cell_synergy.data.config import Role
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.simulator.lattice import Lattice

STROMA, SHARED = 4, 3
PAIRING = np.array([2, 0, 3, 1])  # the expression level that belongs to each image level


def stream(config: SimulatorConfig, *purpose: str) -> np.random.Generator:
    """Return the random stream of one purpose (twin, donor, what for)."""
    words = [zlib.crc32(word.encode()) for word in purpose]
    return np.random.default_rng(np.random.SeedSequence([config.seed, *words]))


def levels(config: SimulatorConfig) -> dict[str, int]:
    """Return the number of levels of every latent state.

    The prefix of a name says which modality shows the state; both show a `shared_` one.
    """
    image = 2 if config.regions <= 6 * SHARED else 3
    return {
        "shared_type": config.cell_types,
        "shared_region": SHARED,
        "image_region": image,
        "expression_region": -(-config.regions // (SHARED * image)),
        "image_nuclei": 2,
        "expression_programme": 2,
        "image_stroma": STROMA,
        "expression_stroma": STROMA,
    }


def sample(config: SimulatorConfig, role: Role, rng: np.random.Generator) -> pd.DataFrame:
    """Draw the latent states of one section on smooth random fields.

    States are independent, each level as frequent as the next, with one exception: with
    `config.synergy`, `expression_stroma` is the partner of `image_stroma`, everywhere in tissue for
    training and in half of the units of tissue for probes and tests. The second state of a pair is
    balanced within the levels of the first, so that neither tells anything about their joint label.

    Parameters
    ----------
    config
        The twin.
    role
        What the donor is for: decides the section's size and whether the pairing rule holds.
    rng
        Random stream of the section's states.

    Returns
    -------
    Units (row by row) x states, integers from 0.
    """
    count, lattice = levels(config), config.lattice(role)
    none = np.zeros(lattice.units, dtype=np.int64)

    def draw(levels: int, within: Int64[np.ndarray, " obs"]) -> Int64[np.ndarray, " obs"]:
        return _split(lattice.field(rng, config.correlation_um), levels, within)

    states = {"shared_type": _patches(rng, lattice, config)}
    shared = states["shared_region"] = draw(SHARED, none)
    region = states["image_region"] = draw(count["image_region"], shared)
    states["expression_region"] = draw(count["expression_region"], shared * STROMA + region)
    nuclei = states["image_nuclei"] = draw(2, none)
    states["expression_programme"] = draw(2, nuclei)
    image = states["image_stroma"] = draw(STROMA, none)
    unmatched = draw(2, image)
    others = draw(STROMA - 1, 2 * image + unmatched)
    shift = np.where((unmatched == 1) & (role in {"probe", "test"}), 1 + others, 0)
    free = draw(STROMA, image)
    states["expression_stroma"] = PAIRING[(image + shift) % STROMA] if config.synergy else free
    return pd.DataFrame({name: states[name] for name in count}, dtype=np.int64)


def labels(latent: pd.DataFrame, config: SimulatorConfig, role: Role) -> pd.DataFrame:
    """Return the label of each task as a categorical column; missing where it is undefined."""
    nuclei, programme = latent["image_nuclei"], latent["expression_programme"]
    image, expression = latent["image_stroma"], latent["expression_stroma"]
    niche, unmatched = nuclei, expression >= STROMA // 2
    if config.synergy:
        niche, unmatched = nuclei ^ programme, PAIRING[image] != expression
        if role not in {"probe", "test"}:
            unmatched = pd.Series(-1, latent.index)  # the rule holds: there is nothing to tell
    codes: dict[str, tuple[pd.Series, list[str]]] = {
        "region": (
            _regions(latent, config),
            [f"region_{r + 1:02d}" for r in range(config.regions)],
        ),
        "image_state": (nuclei, ["condensed", "vesicular"]),
        "expression_state": (programme, ["resting", "activated"]),
        "niche": (niche, ["inner", "outer"]),
        "matched_niche": (unmatched, ["matched", "unmatched"]),
    }
    return pd.DataFrame(
        {
            task: pd.Categorical.from_codes(code.to_numpy(np.int64), pd.Index(names))
            for task, (code, names) in codes.items()
        }
    )


def visible(config: SimulatorConfig) -> Mapping[str, Mapping[str, list[str]]]:
    """Return, per task and modality, the latent states that its label depends on and that show."""
    pair = config.synergy
    tasks = {
        "cell_type": ["shared_type"],
        "region": ["shared_region", "image_region", "expression_region"],
        "image_state": ["image_nuclei"],
        "expression_state": ["expression_programme"],
        "niche": ["image_nuclei", *["expression_programme"] * pair],
        "matched_niche": [*["image_stroma"] * pair, "expression_stroma"],
    }
    return {
        task: {
            modality: [name for name in names if name.split("_")[0] in {"shared", modality}]
            for modality in ("image", "expression")
        }
        for task, names in tasks.items()
    }


def _regions(latent: pd.DataFrame, config: SimulatorConfig) -> pd.Series:
    """Return the region of each unit.

    Each pair of shared and image state is cut into as many regions as evenness allows, which the
    expression state tells apart.
    """
    count = levels(config)
    pairs = count["shared_region"] * count["image_region"]
    pair = latent["shared_region"] * count["image_region"] + latent["image_region"]
    first, last = pair * config.regions // pairs, (pair + 1) * config.regions // pairs
    return first + latent["expression_region"] * (last - first) // count["expression_region"]


def _split(
    field: Float64[np.ndarray, " obs"], count: int, strata: Int64[np.ndarray, " obs"]
) -> Int64[np.ndarray, " obs"]:
    """Cut a field at the quantiles that make its levels equally frequent within each stratum."""
    level = np.empty(len(field), dtype=np.int64)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        ranks = field[members].argsort().argsort()
        level[members] = ranks * count // len(members)
    return level


def _patches(
    rng: np.random.Generator, lattice: Lattice, config: SimulatorConfig
) -> Int64[np.ndarray, " obs"]:
    """Return a map of cell types: the largest of as many fields, each offset to equal area."""
    count = config.cell_types
    fields = np.stack([lattice.field(rng, config.correlation_um) for _ in range(count)], axis=1)
    offset = np.zeros(count)
    for step in np.geomspace(0.5, 0.01, 100):
        area = np.bincount((fields + offset).argmax(axis=1), minlength=count) / len(fields)
        offset -= step * (area * count - 1)
    return np.asarray((fields + offset).argmax(axis=1), dtype=np.int64)
