"""`obs` and some of `obsm` of an `.h5ad`, read without the counts, which may be large."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import pandas as pd

from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest
from cell_synergy.data import anndata_files
from cell_synergy.data.obsm import align_rows


def read_obs_and_obsm(
    path: Path, keys: Collection[str] | None, optional: Collection[str]
) -> ad.AnnData:
    """Read `obs` and some keys of `obsm` of an `.h5ad`.

    The rows of a data frame in `obsm` are put into the order of `obs`.

    Parameters
    ----------
    path
        The `.h5ad`.
    keys
        Required keys of `obsm`; None reads all keys of the file.
    optional
        Further keys, which may be absent; not used if `keys` is None.

    Returns
    -------
    `obs` and the selected `obsm`, without `X`. A file of anndata before 0.7 is returned as a whole,
    and keys that it lacks are not reported.

    Raises
    ------
    DataError
        If the file is missing, broken, of another format, of a newer anndata or larger than memory,
        a required key is absent, or a selected array does not have one row per observation.
    """
    with anndata_files.explain_errors(path), h5py.File(path, "r") as file:
        if not isinstance(file.get("obs"), h5py.Group):  # written by anndata before 0.7
            return ad.read_h5ad(path)
        obs: pd.DataFrame = ad.io.read_elem(file["obs"])
        stored = file.get("obsm", {})
        selected = set(stored) if keys is None else {*keys, *(set(optional) & set(stored))}
        if missing := sorted(selected - set(stored)):
            raise DataError(f"{path}: no obsm[{missing[0]!r}]{suggest(missing[0], stored)}")
        obsm = {key: ad.io.read_elem(stored[key]) for key in sorted(selected)}
    return ad.AnnData(obs=obs, obsm={key: _aligned(obsm[key], obs, path, key) for key in obsm})


def _aligned(value: Any, obs: pd.DataFrame, path: Path, key: str) -> Any:  # noqa: ANN401 - whatever `obsm` holds
    where = f"{path}: obsm[{key!r}]"
    if isinstance(value, pd.DataFrame):
        return align_rows(value, obs.index, where)
    shape = getattr(value, "shape", ())
    if not shape or shape[0] != len(obs):
        raise DataError(f"{where} has shape {shape} for {len(obs)} observations; write it again")
    return value
