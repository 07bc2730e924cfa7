"""Space in a table of your own: two embeddings, labels, donors, sections, places, one `.h5ad`."""

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Shaped
from pydantic import PositiveFloat

from cell_synergy.core.config import load, validate, value
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import DataError
from cell_synergy.core.files import atomic
from cell_synergy.core.labels import as_names
from cell_synergy.data.composition import shares_of
from cell_synergy.data.config import CompositionTask, Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.obsm import numbers
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.spatial.checks import check
from cell_synergy.downstream.spatial.config import CONSISTENCY, SpatialConfig
from cell_synergy.downstream.spatial.distance import curves
from cell_synergy.downstream.spatial.scores import TOO_FEW, Surroundings, judge
from cell_synergy.downstream.user_table import (
    CLASSES,
    Own,
    column_of,
    read_table,
    representations,
    tissue_of,
)

COMPOSITION = "composition"  # the task's name


class OwnTissue(Own):
    """What the table calls things, more than `Own` asks for.

    Attributes
    ----------
    section
        `obs` column of the section; those of different donors may have the same name.
    unit_um
        Size of a unit (spot, patch or cell), in micrometres.
    mpp
        Micrometres per pixel, if `obsm["spatial"]` is in pixels; 1 if it is in micrometres.
    composition
        `obsm` key of cell-type shares per unit, if there are any.
    """

    section: str
    unit_um: PositiveFloat
    mpp: PositiveFloat = 1.0
    composition: str | None = None
    out: Path = Path("runs/spatial.csv")


def run(words: dict[str, Any]) -> Path:
    """Judge both embeddings, their concatenation and every fused one; write the SIS over distance.

    The scores it comes from stand beside it.
    """
    own = validate(OwnTissue, words, "argument")
    use_threads(value("threads"))
    named = {own.image, own.expression, *own.joint, own.composition} - {None}
    table = read_table(own.units, {str(key) for key in named})
    paired = _placed(own, table)
    tasks: dict[str, Task] = dict.fromkeys(own.label, CLASSES)
    if own.composition is not None:
        paired.adata.obsm["cell_type_ratio"] = _shares(own, table)
        tasks[COMPOSITION] = CompositionTask(kind="composition")
    probe, spatial = load(ProbeConfig, "probe"), load(SpatialConfig, "spatial")
    surroundings = Surroundings.of(
        paired, tasks, spatial.model_copy(update={"targets": tuple(tasks)})
    )
    scores = pd.concat(
        judge(name, paired, surroundings, [0], represent, probe, spatial.probes)
        for name, represent in representations(own, table, paired).items()
    )
    if scores.empty:
        raise DataError(f"{own.units}: {TOO_FEW}; lower that, or add units")
    for ending, content in {"-scores": scores, "": curves(scores)}.items():
        with atomic(own.out.with_name(f"{own.out.stem}{ending}{own.out.suffix}")) as new:
            content.to_csv(new, index=False, float_format="%.6g")
    return own.out


def _placed(own: OwnTissue, table: ad.AnnData) -> PairedDataset:
    """Return the table as probes see it, with sections and places in micrometres."""
    _refuse_words(own)
    if "spatial" not in table.obsm:
        raise DataError(f"{own.units}: no obsm['spatial']; store each unit's place there")
    paired = tissue_of(own, table)
    where = f"{own.units}: obs[{own.section!r}]"
    section = as_names(column_of(table, own.section, own.units), "section", where)
    paired.adata.obs["section"] = _apart(paired.donor, section.to_numpy())
    paired.adata.obsm["spatial"] = own.mpp * paired.adata.obsm["spatial"]
    check(paired.adata, own.unit_um, views=False)
    return paired


def _refuse_words(own: OwnTissue) -> None:
    """Refuse labels that cannot be asked of neighbours, or whose name is taken."""
    taken = (CONSISTENCY, *([COMPOSITION] if own.composition is not None else []))
    for label in own.label:
        if label == own.section:
            raise DataError(
                f"label={label} is also the section, which all neighbours share; name another label"
            )
        if label in taken:
            raise DataError(f"label={label}: this name is taken; rename the column of obs")


def _apart(donor: Shaped[np.ndarray, " obs"], section: Shaped[np.ndarray, " obs"]) -> list[str]:
    """Return names of sections that are different for those of different donors."""
    pairs = list(zip(donor, section, strict=True))
    plain = [f"{of}/{name}" for of, name in pairs]
    if len(set(plain)) == len(set(pairs)):
        return plain
    return [f"{of!r}/{name!r}" for of, name in pairs]  # some have a stroke of their own


def _shares(own: OwnTissue, table: ad.AnnData) -> pd.DataFrame:
    """Return the composition of the units; types need no name, as nothing here asks for one."""
    key = str(own.composition)
    where, value = f"{own.units}: obsm[{key!r}]", table.obsm[key]
    if not isinstance(value, pd.DataFrame):
        value = pd.DataFrame(numbers(value, table.obs_names, where), table.obs_names)
    shares = shares_of(value, where)
    if shares.shape[1] == 1:
        raise DataError(f"{where} has one cell type, whose share is always 1; leave it out")
    if shares.isna().all(axis=None):
        raise DataError(f"{where} has no share of any unit; leave `composition` out")
    return shares.set_axis([str(name) for name in shares.columns], axis=1)
