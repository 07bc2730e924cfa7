"""Latent states of a simulated section, and labels as functions of these states."""

import zlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from cell_synergy.data.study_design import Role
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.simulator.lattice import Lattice

_N_STROMA, _N_SHARED = 4, 3  # numbers of levels
PAIRING = np.array([2, 0, 3, 1])  # level of `expression_stroma` that matches each `image_stroma`


def stream(config: SimulatorConfig, *purpose: str) -> np.random.Generator:
    """Return the random stream of one purpose, derived from the configured seed.

    Parameters
    ----------
    config
        Configuration of the data set, with the seed.
    *purpose
        Data set, donor (if the purpose concerns one) and use.
    """
    hashes = [zlib.crc32(part.encode()) for part in purpose]
    return np.random.default_rng(np.random.SeedSequence([config.seed, *hashes]))


def n_levels(config: SimulatorConfig) -> dict[str, int]:
    """Return the number of levels of each latent state, by the name of the state.

    The prefix of a state is the modality that it affects; `shared_` states affect both.
    """
    image = 2 if config.regions <= 6 * _N_SHARED else 3
    return {
        "shared_type": config.cell_types,
        "shared_region": _N_SHARED,
        "image_region": image,
        "expression_region": -(-config.regions // (_N_SHARED * image)),
        "image_nuclei": 2,
        "expression_programme": 2,
        "image_stroma": _N_STROMA,
        "expression_stroma": _N_STROMA,
    }


def sample(config: SimulatorConfig, role: Role, rng: np.random.Generator) -> pd.DataFrame:
    """Draw the latent states of one section by discretising smooth random fields.

    States are independent and their levels equally frequent, with one exception: with
    `config.synergy`, `expression_stroma` matches `image_stroma` (`PAIRING`) at all observations of
    reference and training donors, and at half of the observations of probe and test donors. The
    second state of a pair is balanced within the levels of the first, so that neither state alone
    is informative about their joint label.

    Parameters
    ----------
    config
        Configuration of the data set.
    role
        Role of the donor, on which the size of the section and the share of matches depend.
    rng
        Random stream of the section's states.

    Returns
    -------
    Observations (in row-major order) x states, integers from 0.
    """
    count, lattice = n_levels(config), config.lattice(role)
    no_strata = np.zeros(lattice.n_obs, dtype=np.int64)

    def draw(levels: int, strata: Int64[np.ndarray, " obs"]) -> Int64[np.ndarray, " obs"]:
        return _quantile_levels(lattice.gaussian_field(rng, config.correlation_um), levels, strata)

    states = {"shared_type": _draw_cell_types(rng, lattice, config)}
    shared = states["shared_region"] = draw(_N_SHARED, no_strata)
    region = states["image_region"] = draw(count["image_region"], shared)
    states["expression_region"] = draw(count["expression_region"], shared * _N_STROMA + region)
    nuclei = states["image_nuclei"] = draw(2, no_strata)
    states["expression_programme"] = draw(2, nuclei)
    image = states["image_stroma"] = draw(_N_STROMA, no_strata)
    unmatched = draw(2, image)
    others = draw(_N_STROMA - 1, 2 * image + unmatched)
    shift = np.where((unmatched == 1) & (role in {"probe", "test"}), 1 + others, 0)
    independent = draw(_N_STROMA, image)
    if config.synergy:
        states["expression_stroma"] = PAIRING[(image + shift) % _N_STROMA]
    else:
        states["expression_stroma"] = independent
    return pd.DataFrame({name: states[name] for name in count}, dtype=np.int64)


def labels(latent: pd.DataFrame, config: SimulatorConfig, role: Role) -> pd.DataFrame:
    """Return the labels as one categorical column per task; undefined labels are missing.

    Parameters
    ----------
    latent
        Latent states, observations x states, as `sample` returns them.
    config
        Configuration of the data set.
    role
        Role of the donor. With `config.synergy`, all observations of reference and training donors
        match, and `matched_niche` is undefined in them.

    Returns
    -------
    Columns `region`, `image_state`, `expression_state`, `niche` and `matched_niche`, one row per
    observation.
    """
    nuclei, programme = latent["image_nuclei"], latent["expression_programme"]
    image, expression = latent["image_stroma"], latent["expression_stroma"]
    niche, unmatched = nuclei, expression >= _N_STROMA // 2
    if config.synergy:
        niche, unmatched = nuclei ^ programme, PAIRING[image] != expression
        if role not in {"probe", "test"}:
            unmatched = pd.Series(-1, latent.index)  # undefined: all observations match
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
    """Return the latent states on which a task's label depends, by task and by modality.

    States with the prefix `shared_` are in the lists of both modalities, `image` and `expression`.
    """
    niche, matched_niche = ["image_nuclei"], ["expression_stroma"]
    if config.synergy:
        niche = ["image_nuclei", "expression_programme"]
        matched_niche = ["image_stroma", "expression_stroma"]
    tasks = {
        "cell_type": ["shared_type"],
        "region": ["shared_region", "image_region", "expression_region"],
        "image_state": ["image_nuclei"],
        "expression_state": ["expression_programme"],
        "niche": niche,
        "matched_niche": matched_niche,
    }
    return {
        task: {
            modality: [name for name in names if name.split("_")[0] in {"shared", modality}]
            for modality in ("image", "expression")
        }
        for task, names in tasks.items()
    }


def _regions(latent: pd.DataFrame, config: SimulatorConfig) -> pd.Series:
    """Return the region of each observation.

    The regions are divided as evenly as possible among the pairs of shared and image state; the
    expression state distinguishes the regions of a pair.
    """
    count = n_levels(config)
    n_pairs = count["shared_region"] * count["image_region"]
    pair = latent["shared_region"] * count["image_region"] + latent["image_region"]
    first, last = pair * config.regions // n_pairs, (pair + 1) * config.regions // n_pairs
    return first + latent["expression_region"] * (last - first) // count["expression_region"]


def _quantile_levels(
    field: Float64[np.ndarray, " obs"], count: int, strata: Int64[np.ndarray, " obs"]
) -> Int64[np.ndarray, " obs"]:
    """Discretise a field at its quantiles, so that levels are equally frequent in each stratum."""
    level = np.empty(len(field), dtype=np.int64)
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        ranks = field[rows].argsort().argsort()
        level[rows] = ranks * count // len(rows)
    return level


def _draw_cell_types(
    rng: np.random.Generator, lattice: Lattice, config: SimulatorConfig
) -> Int64[np.ndarray, " obs"]:
    """Draw a map of cell types: the argmax of one random field per type, offset to equal areas."""
    count = config.cell_types
    fields = np.stack(
        [lattice.gaussian_field(rng, config.correlation_um) for _ in range(count)], axis=1
    )
    offset = np.zeros(count)
    for step in np.geomspace(0.5, 0.01, 100):
        area = np.bincount((fields + offset).argmax(axis=1), minlength=count) / len(fields)
        offset -= step * (area * count - 1)
    return np.asarray((fields + offset).argmax(axis=1), dtype=np.int64)
