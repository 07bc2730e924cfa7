"""Judge representations in a table of your own: two embeddings, labels, donors, one `.h5ad`."""

from pathlib import Path
from typing import Any, Literal

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32
from scipy import sparse

from cell_synergy.core.atomic import atomic
from cell_synergy.core.compute import use_threads
from cell_synergy.core.config import Config, load, suggest, validate, value
from cell_synergy.core.errors import DataError
from cell_synergy.data.building import Rules, classes
from cell_synergy.data.units.dataset import Classification, Names
from cell_synergy.data.units.splits import Fold
from cell_synergy.data.units.tissue import Tissue
from cell_synergy.downstream.information.decompose import Information
from cell_synergy.downstream.information.tasks import information
from cell_synergy.downstream.judging import Representation, judge, pair_and_parts
from cell_synergy.downstream.probes.settings import Probe
from cell_synergy.scores import sis_table

CLASSES = Classification(kind="classification")


class Own(Config):
    """What the table calls things.

    Attributes
    ----------
    units
        The `.h5ad`.
    image, expression
        `obsm` keys of the two single-modality embeddings.
    joint
        `obsm` keys of fused embeddings to judge, separated by commas; the concatenation is judged
        in any case.
    label
        `obs` columns to predict, separated by commas.
    donor
        `obs` column of the donor; each is left out in turn.
    standardise
        `train`: features are scaled with the training donors; `donor`: with each donor's own
        units, where donors differ by more than labels do.
    out
        The SIS table to write; the scores it comes from stand beside it, and what the embeddings
        hold in bits.
    """

    units: Path
    image: str
    expression: str
    joint: Names = ()
    label: Names
    donor: str
    standardise: Literal["train", "donor"] = "train"
    out: Path = Path("runs/sis.csv")


def run(words: dict[str, Any]) -> Path:
    """Judge both embeddings, their concatenation and every fused one; write the SIS."""
    own = validate(Own, words, "argument")
    use_threads(value("threads"))
    table = read_table(own.units)
    tissue = tissue_of(own, table)
    tasks = dict.fromkeys(own.label, CLASSES)
    probe = load(Probe, "probe")
    judged = {
        name: judge(name, tissue, tasks, [0], represent, probe)
        for name, represent in representations(own, table, tissue).items()
    }
    scores = pd.concat(found.scores for found in judged.values())
    posteriors = {name: found.posteriors for name, found in judged.items()}
    cells = load(Information, "information").cells
    bits = information(tissue.units, tissue.groups, tissue.folds, tasks, posteriors, cells)
    own.out.parent.mkdir(parents=True, exist_ok=True)
    tables = {"-scores": scores, "-information": bits, "": sis_table(scores)}
    for ending, content in tables.items():
        with atomic(own.out.with_name(f"{own.out.stem}{ending}{own.out.suffix}")) as new:
            content.to_csv(new, index=False, float_format="%.6g")
    return own.out


def representations(own: Own, table: ad.AnnData, tissue: Tissue) -> dict[str, Representation]:
    """Return what is judged, by name."""
    found = pair_and_parts(tissue)
    for key in own.joint:
        if key in found:
            raise DataError(f"joint={key}: this name is taken; rename obsm[{key!r}]")
        z = _embedding(table, key, own.units)
        found[key] = lambda _fold, _seed, z=z: z  # type: ignore[misc]
    return found


def tissue_of(own: Own, table: ad.AnnData) -> Tissue:
    """Return the table as probes see it, each donor left out in turn."""
    donor = column_of(table, own.donor, own.units).astype(str).to_numpy()
    names = sorted(set(donor))
    if len(names) < 2:  # noqa: PLR2004 - one to learn from and one to judge by
        raise DataError(
            f"{own.units}: obs[{own.donor!r}] has one donor, {names[0]!r}; a score needs donors "
            "that the probe has not seen: two at least, and five for an interval"
        )
    obs = pd.DataFrame({"donor": donor, "section": donor}, index=table.obs_names)
    for label in own.label:
        obs[label] = _classes(table, label, donor, own.units)
    units = ad.AnnData(sparse.csr_matrix(np.zeros((len(obs), 0), dtype=np.float32)), obs=obs)
    units.obsm["spatial"] = _places(table)
    units.uns["source"] = own.units.stem
    folds = [Fold(name, donor != name, donor != name, donor == name) for name in names]
    image, expression = (_embedding(table, k, own.units) for k in (own.image, own.expression))
    return Tissue(units, image, expression, donor, donor, folds, own.standardise)


def _places(table: ad.AnnData) -> np.ndarray:
    """Return coordinates, or the order of rows: they only say which units lie side by side."""
    if "spatial" in table.obsm:
        return np.asarray(table.obsm["spatial"], dtype=np.float64)[:, :2]
    order = np.arange(table.n_obs, dtype=np.float64)
    return np.column_stack([order, np.zeros_like(order)])


def _classes(table: ad.AnnData, label: str, donor: np.ndarray, where: Path) -> "pd.Series[Any]":
    """Return the labels as classes; too rare ones are no labels, as in the study."""
    column = column_of(table, label, where, empty=True)
    if pd.api.types.is_float_dtype(column):
        raise DataError(f"{where}: obs[{label!r}] holds fractions, not classes; bin them first")
    words = column.astype(str).where(column.notna())
    groups = pd.Series(donor, index=words.index)
    what = f"{where}: obs[{label!r}]"
    return classes(words, groups, CLASSES, load(Rules, "pairs"), what)


def read_table(path: Path) -> ad.AnnData:
    """Read the table."""
    if not path.is_file():
        raise DataError(f"units={path}: no such file")
    try:
        return ad.read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"units={path}: not an .h5ad file ({error})") from error


def column_of(
    table: ad.AnnData, name: str, where: Path, *, empty: bool = False
) -> "pd.Series[Any]":
    """Return a column of `obs`, which has a value for every unit unless it may be empty."""
    if name not in table.obs:
        raise DataError(f"{where}: no obs[{name!r}]{suggest(name, table.obs.columns)}")
    column: pd.Series[Any] = table.obs[name]
    if not empty and column.isna().any():
        raise DataError(
            f"{where}: obs[{name!r}] is empty for {int(column.isna().sum())} of {table.n_obs} "
            f"units, first {table.obs_names[column.isna()][0]!r}; name it for every unit"
        )
    return column


def _embedding(table: ad.AnnData, key: str, where: Path) -> Float32[np.ndarray, "units d"]:
    if key not in table.obsm:
        raise DataError(f"{where}: no obsm[{key!r}]{suggest(key, table.obsm)}")
    x: Any = table.obsm[key]
    dense = np.asarray(x.todense() if hasattr(x, "todense") else x)
    if broken := int((~np.isfinite(dense)).any(axis=1).sum()):
        raise DataError(f"{where}: obsm[{key!r}] is not finite for {broken} units; drop them")
    return dense.astype(np.float32)
