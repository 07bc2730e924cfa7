"""Embeddings of the pairs: reading and writing, check of row names against the pairs, scaling."""

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
    obs_names: pd.Index,
    card: dict[str, JsonValue],
) -> None:
    """Write one expert's embedding in half precision, with the expert's card in `uns["encoder"]`.

    Half precision keeps 11 significant bits: a relative error of at most 0.05 %, far below the
    noise of either modality, at half the size.

    Parameters
    ----------
    path
        File to write.
    embedding
        Embedding, observations x features.
    obs_names
        Name of each observation, in the order of the rows.
    card
        Description of the expert (name, origin, SHA-256 of the weights), as `Encoder.freeze`
        returns it.

    Raises
    ------
    DataError
        If a value is not finite in half precision.
    """
    with np.errstate(over="ignore"):  # values above 65504 become infinite
        half = embedding.astype(np.float16)
    broken = np.flatnonzero(~np.isfinite(half).all(axis=1))
    if len(broken):
        raise DataError(
            f"{path.name}: the embedding is not finite, or beyond half precision's 65504, for "
            f"{len(broken)} observations, first {obs_names[broken[0]]!r}; check their counts or "
            "image"
        )
    adata = ad.AnnData(half, obs=pd.DataFrame(index=obs_names))
    adata.uns["encoder"] = card
    anndata_files.write(path, adata)


def read(path: Path, obs_names: pd.Index) -> Float32[np.ndarray, "obs dim"]:
    """Read an embedding in single precision, observations x features in the order of the pairs.

    Parameters
    ----------
    path
        File of the embedding.
    obs_names
        Names of the observations of the pairs, in order.

    Raises
    ------
    DataError
        If there is no such file, it is broken, or its row names differ from `obs_names` in text or
        order.
    """
    adata = _read(path)
    if difference := anndata_files.obs_difference(adata.obs_names, obs_names):
        raise DataError(f"{path}: {difference}; embed these pairs again")
    half: Float16[np.ndarray, "obs dim"] = adata.X
    return half.astype(np.float32)


def read_card(path: Path) -> dict[str, JsonValue]:
    """Return the card of the expert whose embedding a file has, as `write` got it.

    Parameters
    ----------
    path
        File of the embedding.

    Raises
    ------
    DataError
        If there is no such file, it is broken, or it names no expert.
    """
    adata = _read(path)
    card: dict[str, JsonValue] = adata.uns.get("encoder", {})
    if "encoder" not in card:
        raise DataError(
            f"{path}: uns['encoder'] does not name the expert; embed the pairs again "
            "(`dvc repro embed`)"
        )
    return card


def _read(path: Path) -> ad.AnnData:
    """Read the file of an embedding."""
    if not path.is_file():
        raise DataError(
            f"{path}: no such embedding; name the data set in `datasets` and run `dvc repro`"
        )
    return anndata_files.read(path, "delete it and run `dvc repro`")


def standardise(
    x: Float32[np.ndarray, "obs dim"],
    fit: Bool[np.ndarray, " obs"],
    groups: Shaped[np.ndarray, " obs"],
    mode: str,
) -> Float32[np.ndarray, "obs dim"]:
    """Centre each feature and divide it by its standard deviation.

    Parameters
    ----------
    x
        Features of all observations.
    fit
        Mask of the training observations; used by the mode `train` only.
    groups
        Donor, section or block of each observation; used by the mode `donor` only.
    mode
        `train` for mean and standard deviation of the training observations, `donor` for those
        within each group, training and test observations alike. Scores with `donor` are marked as
        transductive in every table.

    Returns
    -------
    The standardised features; a feature that is constant among the observations whose moments are
    used becomes zero.
    """
    if mode == "train":
        return _scaled(x, x[fit])
    scaled = np.empty_like(x)
    for group in np.unique(groups):
        mask = groups == group
        scaled[mask] = _scaled(x[mask], x[mask])
    return scaled


def _scaled(
    x: Float32[np.ndarray, "obs dim"], fit: Float32[np.ndarray, "fit dim"]
) -> Float32[np.ndarray, "obs dim"]:
    mean, scale = moments(fit)
    scaled: Float32[np.ndarray, "obs dim"] = ((x - mean) * scale).astype(np.float32)
    return scaled


def moments(
    x: Float32[np.ndarray, "obs dim"],
) -> tuple[Float64[np.ndarray, " dim"], Float64[np.ndarray, " dim"]]:
    """Return the mean of each feature, and the reciprocal of its standard deviation.

    The reciprocal is 0 for a constant feature (standard deviation below a millionth of 1 + |mean|).
    """
    mean, deviation = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    constant = deviation < 1e-6 * (np.abs(mean) + 1)  # zero in half precision
    return mean, np.where(constant, 0, 1 / np.where(constant, 1, deviation))
