"""Latent states of a simulated section, and labels as functions of these states."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from cell_synergy.core import random
from cell_synergy.data.study_design import Role
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.simulator.lattice import Lattice

_N_PAIRED, _N_SHARED = 4, 3  # numbers of levels
PAIRING = np.array([2, 0, 3, 1])  # level of the expression state that matches each image state

_Draw = Callable[[int, Int64[np.ndarray, " obs"]], Int64[np.ndarray, " obs"]]


def stream(config: SimulatorConfig, *purpose: str) -> np.random.Generator:
    """Return the random stream of one purpose, derived from the configured seed.

    Parameters
    ----------
    config
        Configuration of the data set, with the seed.
    *purpose
        Data set, donor (if the purpose concerns one) and use.
    """
    return random.stream(config.seed, *purpose)


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
        "image_stroma": _N_PAIRED,
        "expression_stroma": _N_PAIRED,
        "image_deposits": _N_PAIRED,
        "expression_deposits": _N_PAIRED,
    }


def sample(config: SimulatorConfig, role: Role, rng: np.random.Generator) -> pd.DataFrame:
    """Draw the latent states of one section by discretising smooth random fields.

    States are independent and their levels equally frequent, with two exceptions under
    `config.synergy`, where the level of an expression state matches that of an image state by
    `PAIRING`: `expression_stroma` matches `image_stroma` at all observations of reference and
    training donors, and at half of the observations of probe and test donors; `expression_deposits`
    matches `image_deposits` at half of the observations of every donor. The second state of a pair
    is balanced within the levels of the first, so that neither state alone is informative about
    their joint label.

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
    states["expression_region"] = draw(count["expression_region"], shared * _N_PAIRED + region)
    nuclei = states["image_nuclei"] = draw(2, no_strata)
    states["expression_programme"] = draw(2, nuclei)
    obeyed = {"stroma": role not in {"probe", "test"}, "deposits": False}
    for pair, obeys in obeyed.items():
        image = states[f"image_{pair}"] = draw(_N_PAIRED, no_strata)
        states[f"expression_{pair}"] = (
            _draw_partner(draw, image, obeys=obeys) if config.synergy else draw(_N_PAIRED, image)
        )
    return pd.DataFrame({name: states[name] for name in count}, dtype=np.int64)


def labels(latent: pd.DataFrame, config: SimulatorConfig, role: Role) -> pd.DataFrame:
    """Return the labels as one categorical column per task; undefined labels are missing.

    `region`, `image_state` (`image_nuclei`) and `expression_state` (`expression_programme`) are
    equal functions of the states with and without `config.synergy`. With it, `niche` is the XOR of
    `image_nuclei` and `expression_programme`, and `matched_niche` and `mixed_niche` are whether the
    two states of a pair (`stroma`, `deposits`) match by `PAIRING`. Without it, no label has
    synergy, whatever the joint frequencies of the states: `niche` is whether `image_stroma` and
    `matched_niche` whether `expression_stroma` is one of the upper two levels (unique to one
    modality), and `mixed_niche` is the combination of the two answers for `image_deposits` and
    `expression_deposits`, four classes (unique information in both modalities).

    Parameters
    ----------
    latent
        Latent states, observations x states, as `sample` returns them.
    config
        Configuration of the data set.
    role
        Role of the donor. With `config.synergy`, the stroma of all observations of reference and
        training donors matches, and `matched_niche` is undefined in them.

    Returns
    -------
    Columns `region`, `image_state`, `expression_state`, `niche`, `matched_niche` and `mixed_niche`,
    one row per observation.
    """
    codes: dict[str, tuple[pd.Series, list[str]]] = {
        "region": (
            _regions(latent, config),
            [f"region_{r + 1:02d}" for r in range(config.regions)],
        ),
        "image_state": (latent["image_nuclei"], ["condensed", "vesicular"]),
        "expression_state": (latent["expression_programme"], ["resting", "activated"]),
        **(_synergistic_niches(latent, role) if config.synergy else _unique_niches(latent)),
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
    niche, matched_niche = ["image_stroma"], ["expression_stroma"]
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
        "mixed_niche": ["image_deposits", "expression_deposits"],
    }
    return {
        task: {
            modality: [name for name in names if name.split("_")[0] in {"shared", modality}]
            for modality in ("image", "expression")
        }
        for task, names in tasks.items()
    }


def _draw_partner(
    draw: _Draw, image: Int64[np.ndarray, " obs"], *, obeys: bool
) -> Int64[np.ndarray, " obs"]:
    """Draw the expression state of a pair, given the levels of its image state.

    It matches at all observations if the section `obeys` the rule, otherwise at half of those of
    each image level; the other levels are equally frequent at the rest.
    """
    if obeys:
        return np.asarray(PAIRING[image])
    unmatched = draw(2, image)
    others = draw(_N_PAIRED - 1, 2 * image + unmatched)
    shift = np.where(unmatched == 1, 1 + others, 0)
    return np.asarray(PAIRING[(image + shift) % _N_PAIRED])


def _synergistic_niches(latent: pd.DataFrame, role: Role) -> dict[str, tuple[pd.Series, list[str]]]:
    """Return codes and class names of the niches that need both modalities."""
    unmatched = {
        pair: PAIRING[latent[f"image_{pair}"]] != latent[f"expression_{pair}"]
        for pair in ("stroma", "deposits")
    }
    if role not in {"probe", "test"}:
        unmatched["stroma"] = pd.Series(-1, latent.index)  # undefined: all observations match
    xor = latent["image_nuclei"] ^ latent["expression_programme"]
    return {
        "niche": (xor, ["inner", "outer"]),
        "matched_niche": (unmatched["stroma"], ["matched", "unmatched"]),
        "mixed_niche": (unmatched["deposits"], ["matched", "unmatched"]),
    }


def _unique_niches(latent: pd.DataFrame) -> dict[str, tuple[pd.Series, list[str]]]:
    """Return codes and class names of niches without synergy."""
    upper = {name: (latent[name] >= _N_PAIRED // 2).astype(np.int64) for name in latent}
    both = 2 * upper["image_deposits"] + upper["expression_deposits"]
    return {
        "niche": (upper["image_stroma"], ["inner", "outer"]),
        "matched_niche": (upper["expression_stroma"], ["inner", "outer"]),
        "mixed_niche": (both, ["inner_low", "inner_high", "outer_low", "outer_high"]),
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
