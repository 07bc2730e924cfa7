"""Embeddings of the paired units: written, read and matched row by row with the pairs."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float16, Float32, Float64, Shaped
from pydantic import JsonValue

from cell_synergy.core.errors import DataError
from cell_synergy.data import anndata_files


def write(
    path: Path,
    embedding: Float32[np.ndarray, "obs dim"],
    units: pd.Index,
    card: dict[str, JsonValue],
) -> None:
    """Write one expert's embedding in half precision, with the card of what made it.

    Half precision keeps 11 significant bits: a relative error of at most 0.05 %, far below the
    noise of either modality, at half the size.
    """
    with np.errstate(over="ignore"):  # what half precision cannot hold becomes infinite
        half = embedding.astype(np.float16)
    broken = np.flatnonzero(~np.isfinite(half).all(axis=1))
    if len(broken):
        raise DataError(
            f"{path.name}: the embedding is not finite, or beyond half precision's 65504, for "
            f"{len(broken)} units, first {units[broken[0]]!r}; check their counts or image"
        )
    table = ad.AnnData(half, obs=pd.DataFrame(index=units))
    table.uns["encoder"] = card
    anndata_files.write(path, table)


def read(path: Path, units: pd.Index) -> Float32[np.ndarray, "obs dim"]:
    """Read an embedding and check that its rows are the pairs' `units`, in the same order."""
    if not path.is_file():
        raise DataError(
            f"{path}: no such embedding; name the data set in `datasets` and run `dvc repro`"
        )
    table = anndata_files.read(path, "delete it and run `dvc repro`")
    if not table.obs_names.equals(units):
        raise DataError(f"{path}: {_difference(table.obs_names, units)}; embed these pairs again")
    half: Float16[np.ndarray, "obs dim"] = table.X
    return half.astype(np.float32)


def _difference(found: pd.Index, expected: pd.Index) -> str:
    if len(found) != len(expected):
        return f"has {len(found)} rows, the pairs have {len(expected)}"
    row = int(np.flatnonzero(found.to_numpy() != expected.to_numpy())[0])
    return f"row {row} is {found[row]!r}, the pairs have {expected[row]!r}"


def standardise(
    x: Float32[np.ndarray, "obs dim"],
    fit: Bool[np.ndarray, " obs"],
    groups: Shaped[np.ndarray, " obs"],
    mode: str,
) -> Float32[np.ndarray, "obs dim"]:
    """Centre and scale each feature.

    Parameters
    ----------
    x
        Features of all units.
    fit
        The training units.
    groups
        Donor (or section) of each unit.
    mode
        `train` uses the mean and deviation of the training units; `donor` each group's own
        unlabelled units, which is transductive and named so wherever it is used.

    Returns
    -------
    The standardised features; a feature without variation becomes zero.
    """
    if mode == "train":
        return _scaled(x, x[fit])
    scaled = np.empty_like(x)
    for group in np.unique(groups):
        own = groups == group
        scaled[own] = _scaled(x[own], x[own])
    return scaled


def _scaled(
    x: Float32[np.ndarray, "obs dim"], of: Float32[np.ndarray, "fit dim"]
) -> Float32[np.ndarray, "obs dim"]:
    mean, scale = moments(of)
    scaled: Float32[np.ndarray, "obs dim"] = ((x - mean) * scale).astype(np.float32)
    return scaled


def moments(
    x: Float32[np.ndarray, "obs dim"],
) -> tuple[Float64[np.ndarray, " dim"], Float64[np.ndarray, " dim"]]:
    """Return the mean of each feature, and one over its deviation: 0 for one that is constant."""
    mean, deviation = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    constant = deviation < 1e-6 * (np.abs(mean) + 1)  # half precision cannot tell these from zero
    return mean, np.where(constant, 0, 1 / np.where(constant, 1, deviation))
