"""Spatial scores of the embeddings of a user's table with sections and coordinates."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Shaped
from pydantic import PositiveFloat

from cell_synergy.core.errors import DataError
from cell_synergy.core.labels import as_names
from cell_synergy.data.classes import ClassRule
from cell_synergy.data.composition import as_shares
from cell_synergy.data.config import CompositionTask, Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.obsm import as_numbers
from cell_synergy.downstream.method_scores import write_tables
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.spatial.checks import check
from cell_synergy.downstream.spatial.config import CONSISTENCY, SpatialConfig
from cell_synergy.downstream.spatial.distance import curves
from cell_synergy.downstream.spatial.scores import TOO_FEW, SpatialTasks, evaluate
from cell_synergy.downstream.user_table import (
    CLASSES,
    UserTableConfig,
    column_of,
    paired_dataset,
    read_table,
    representations,
)

COMPOSITION = "composition"  # the task's name


class UserSectionsConfig(UserTableConfig):
    """File, keys and columns of a user's table with sections and coordinates.

    Attributes
    ----------
    section
        `obs` column of the section; sections of different donors may have the same name.
    unit_um
        Size of an observation (spot, patch or cell), in micrometres.
    mpp
        Micrometres per pixel, if `obsm["spatial"]` is in pixels; 1 if it is in micrometres.
    composition
        `obsm` key of cell-type shares per observation, if there are any.
    out
        The table of SIS over distance to write. The scores are written beside it.
    """

    section: str
    unit_um: PositiveFloat
    mpp: PositiveFloat = 1.0
    composition: str | None = None
    out: Path = Path("runs/spatial.csv")


def write_section_scores(
    config: UserSectionsConfig, probe: ProbeConfig, spatial: SpatialConfig, rule: ClassRule
) -> None:
    """Score both embeddings, their concatenation and every fused one; write the tables of `out`.

    Parameters
    ----------
    config
        Input file with its keys and columns, and output path.
    probe, spatial
        Configuration of the probes, and of the distance bands and pairs.
    rule
        Minimum frequency of a class.

    Raises
    ------
    DataError
        If a column, an embedding or the coordinates are missing or not valid, no donor has enough
        labelled neighbours or pairs of observations, or estimators are named.
    """
    if config.estimator:
        raise DataError("estimator: scores over space have the study's probes only; leave it out")
    keys = {config.image, config.expression, *config.joint, config.composition} - {None}
    adata = read_table(config.units, {str(key) for key in keys})
    paired = spatial_dataset(config, adata, rule)
    tasks: dict[str, Task] = dict.fromkeys(config.label, CLASSES)
    if config.composition is not None:
        paired.adata.obsm["cell_type_ratio"] = _shares(config, adata)
        tasks[COMPOSITION] = CompositionTask(kind="composition")
    spatial_tasks = SpatialTasks.of(
        paired, tasks, spatial.model_copy(update={"targets": tuple(tasks)})
    )
    scores = pd.concat(
        evaluate(name, paired, spatial_tasks, [0], represent, probe, spatial.probes)
        for name, represent in representations(config, adata, paired).items()
    )
    if scores.empty:
        raise DataError(f"{config.units}: {TOO_FEW}; lower that, or add observations")
    write_tables(config.out, {"-scores": scores, "": curves(scores)})


def spatial_dataset(
    config: UserSectionsConfig, adata: ad.AnnData, rule: ClassRule
) -> PairedDataset:
    """Return a user's table as a paired data set with sections and coordinates in micrometres.

    It is that of `user_table.paired_dataset`, with sections called `donor/section`.

    Parameters
    ----------
    config
        File of the table, its keys and columns, size of an observation and micrometres per pixel.
    adata
        The table, as `read_table` returns it.
    rule
        Minimum frequency of a class.

    Raises
    ------
    DataError
        If coordinates are missing or cannot be micrometres, a section has one observation or two
        at one position, a label is the section or has a reserved name, or `paired_dataset` refuses
        the table.
    """
    _check_labels(config)
    if "spatial" not in adata.obsm:
        raise DataError(
            f"{config.units}: no obsm['spatial']; store the coordinates of each observation there"
        )
    paired = paired_dataset(config, adata, rule)
    where = f"{config.units}: obs[{config.section!r}]"
    section = as_names(column_of(adata, config.section, config.units), "section", where)
    paired.adata.obs["section"] = _section_names(paired.donor, section.to_numpy())
    paired.adata.obsm["spatial"] = config.mpp * paired.adata.obsm["spatial"]
    check(paired.adata, config.unit_um, views=False)
    return paired


def _check_labels(config: UserSectionsConfig) -> None:
    """Raise an error if a label is the section, or has the name of another task."""
    taken = [CONSISTENCY]
    if config.composition is not None:
        taken.append(COMPOSITION)
    for label in config.label:
        if label == config.section:
            raise DataError(
                f"label={label} is also the section, which all neighbours share; name another label"
            )
        if label in taken:
            raise DataError(f"label={label}: this name is taken; rename the column of obs")


def _section_names(
    donor: Shaped[np.ndarray, " obs"], section: Shaped[np.ndarray, " obs"]
) -> list[str]:
    """Return section names `donor/section`, which are different for different donors."""
    pairs = list(zip(donor, section, strict=True))
    names = [f"{d}/{s}" for d, s in pairs]
    if len(set(names)) == len(set(pairs)):
        return names
    return [f"{d!r}/{s!r}" for d, s in pairs]  # a slash within a name made two names equal


def _shares(config: UserSectionsConfig, adata: ad.AnnData) -> pd.DataFrame:
    """Return the cell-type shares of the observations; cell types without a name are numbered."""
    key = str(config.composition)
    where, values = f"{config.units}: obsm[{key!r}]", adata.obsm[key]
    if not isinstance(values, pd.DataFrame):
        values = pd.DataFrame(as_numbers(values, adata.obs_names, where), adata.obs_names)
    shares = as_shares(values, where)
    if shares.shape[1] == 1:
        raise DataError(f"{where} has one cell type, whose share is always 1; leave it out")
    if shares.isna().all(axis=None):
        raise DataError(f"{where} has no share of any observation; leave `composition` out")
    return shares.set_axis([str(name) for name in shares.columns], axis=1)
