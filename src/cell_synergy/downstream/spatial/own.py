"""Space in a table of your own: two embeddings, labels, donors, sections, places, one `.h5ad`."""

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float64
from pydantic import PositiveFloat

from cell_synergy.core.atomic import atomic
from cell_synergy.core.compute import use_threads
from cell_synergy.core.config import load, suggest, validate, value
from cell_synergy.core.errors import DataError
from cell_synergy.data.units.dataset import Composition, Task
from cell_synergy.data.units.tissue import Tissue
from cell_synergy.downstream.own import (
    CLASSES,
    Own,
    column_of,
    read_table,
    representations,
    tissue_of,
)
from cell_synergy.downstream.probes.settings import Probe
from cell_synergy.downstream.spatial.checks import check
from cell_synergy.downstream.spatial.curves import curves
from cell_synergy.downstream.spatial.judging import TOO_FEW, Surroundings, judge
from cell_synergy.downstream.spatial.settings import Spatial

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
    table = read_table(own.units)
    tissue = _placed(own, table)
    tasks: dict[str, Task] = dict.fromkeys(own.label, CLASSES)
    if own.composition is not None:
        tissue.units.obsm["cell_type_ratio"] = _shares(own, table)
        tasks[COMPOSITION] = Composition(kind="composition")
    probe, spatial = load(Probe, "probe"), load(Spatial, "spatial")
    surroundings = Surroundings.of(
        tissue, tasks, spatial.model_copy(update={"targets": tuple(tasks)})
    )
    scores = pd.concat(
        judge(name, tissue, surroundings, [0], represent, probe, spatial.probes)
        for name, represent in representations(own, table, tissue).items()
    )
    if scores.empty:
        raise DataError(f"{own.units}: {TOO_FEW}; lower that, or add units")
    for ending, content in {"-scores": scores, "": curves(scores)}.items():
        with atomic(own.out.with_name(f"{own.out.stem}{ending}{own.out.suffix}")) as new:
            content.to_csv(new, index=False, float_format="%.6g")
    return own.out


def _placed(own: OwnTissue, table: ad.AnnData) -> Tissue:
    """Return the table as probes see it, with sections and places in micrometres."""
    tissue = tissue_of(own, table)
    section = column_of(table, own.section, own.units).astype(str).to_numpy()
    names = [f"{donor}/{name}" for donor, name in zip(tissue.donor, section, strict=True)]
    tissue.units.obs["section"] = names
    if "spatial" not in table.obsm:
        raise DataError(f"{own.units}: no obsm['spatial']; store each unit's place there")
    tissue.units.obsm["spatial"] = own.mpp * tissue.units.obsm["spatial"]
    if len(lost := np.flatnonzero(~np.isfinite(tissue.units.obsm["spatial"]).all(axis=1))):
        raise DataError(
            f"{own.units}: obsm['spatial'] is not finite for {len(lost)} units, first "
            f"{table.obs_names[lost[0]]!r}; drop these units or give their place"
        )
    check(tissue.units, own.unit_um)
    return tissue


def _shares(own: OwnTissue, table: ad.AnnData) -> pd.DataFrame:
    """Return the composition of the units."""
    key = str(own.composition)
    if key not in table.obsm:
        raise DataError(
            f"{own.units}: no obsm[{key!r}]{suggest(key, table.obsm)}; store each unit's cell-type "
            "shares there, or leave `composition` out"
        )
    shares: Float64[np.ndarray, "units types"] = np.asarray(table.obsm[key], dtype=np.float64)
    return pd.DataFrame(shares, table.obs_names, [str(i) for i in range(shares.shape[1])])
