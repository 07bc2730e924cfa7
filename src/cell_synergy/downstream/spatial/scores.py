"""Spatial evaluation of one representation: prediction of neighbours, and of close pairs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from cell_synergy.core.names import LINEAR, NONLINEAR
from cell_synergy.data.config import Task, no_task_message
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import (
    FoldEvaluator,
    Representation,
    probe_name,
    score_table,
    standardised_blocks,
)
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.feature_blocks import Block, equal_variance
from cell_synergy.downstream.probes.tasks import Prediction, Selection, Target
from cell_synergy.downstream.spatial.config import BAND_COLUMNS, CONSISTENCY, SpatialConfig
from cell_synergy.downstream.spatial.consistency import PairSample, PairTask, sample_pairs
from cell_synergy.downstream.spatial.graph import band_edges, bands
from cell_synergy.downstream.spatial.targets import BandTarget, band_targets

TOO_FEW = "no donor has enough labelled neighbours (`spatial.least`) or pairs of observations"

_LABEL_METRICS, _COMPOSITION_METRICS = ("macro_f1", "balanced_accuracy", "bits"), ("r2",)


@dataclass(frozen=True)
class SpatialTasks:
    """The spatial tasks of a data set, equal for all representations.

    Attributes
    ----------
    targets
        Labels and compositions of the neighbours, by task and band.
    pairs
        Close and far pairs of observations.
    """

    targets: list[BandTarget]
    pairs: PairSample

    @classmethod
    def of(
        cls, paired: PairedDataset, tasks: Mapping[str, Task], spatial: SpatialConfig
    ) -> "SpatialTasks":
        """Return the targets of all distance bands, and close and far pairs of observations.

        If the data set has none of the tasks in `spatial.targets`, a message is printed and there
        are only pairs, which need no labels.

        Parameters
        ----------
        paired
            The data set, with coordinates in micrometres.
        tasks
            Tasks of the data set, by name.
        spatial
            Configuration of distance bands and pairs.

        Raises
        ------
        DataError
            If a task needs compositions that the data set does not have.
        """
        selected = {name: tasks[name] for name in spatial.targets if name in tasks}
        if not selected:
            source = paired.adata.uns["source"]
            tqdm.write(
                f"{source}: {no_task_message('spatial.targets', tasks)}; neighbours are left out"
            )
        coords = np.asarray(paired.adata.obsm["spatial"], dtype=np.float64)
        # neighbours and pairs never cross a border between folds
        sections = paired.section_or_block
        annuli = bands(coords, sections, band_edges(coords, sections, spatial.neighbours))
        targets = band_targets(paired, selected, annuli, spatial.least)
        return cls(targets, sample_pairs(coords, sections, spatial.consistency, spatial.seed))


def evaluate(
    name: str,
    paired: PairedDataset,
    spatial_tasks: SpatialTasks,
    seeds: list[int],
    represent: Representation,
    probe: ProbeConfig,
    kinds: Collection[str],
) -> pd.DataFrame:
    """Return the scores of a representation on the spatial tasks.

    Linear probes score every seed, nonlinear probes the first one. In each fold, a task is left out
    if its training or test observations have no labels, or its training labels one class.

    Parameters
    ----------
    name
        Name of the method.
    paired
        The data set.
    spatial_tasks
        Spatial tasks of the data set.
    seeds, represent
        Seeds to score, and function from fold and seed to the representation.
    probe
        Configuration of the probes.
    kinds
        Probes that predict the neighbours: `linear`, `mlp` or both. Pairs are always classified by
        linear probes.

    Returns
    -------
    :
        One row per task, metric, probe, fold, donor and seed, with the columns of
        `downstream.evaluate` and `BAND_COLUMNS`: `target`; `band`, from 1; `inner_um, outer_um`,
        its radii in micrometres, and `neighbours`, their number per observation, as means over the
        donor's labelled observations. Tasks are called `neighbours TARGET BAND`, or `consistency`,
        which has no band. There are no rows if no donor has enough observations for any task.

    Raises
    ------
    DataError
        If the representation has another number of rows, or is not finite.
    ConfigError
        If the loss of a nonlinear probe is not finite.
    """
    rows: list[dict[str, object]] = []
    for fold in paired.folds:
        evaluator = _SpatialEvaluator(paired, spatial_tasks, fold, probe, kinds)
        for seed in seeds:
            blocks = standardised_blocks(name, represent(fold, seed), paired, fold, seed)
            scores = evaluator.scores(blocks, seed, first=seed == seeds[0])
            rows += [row | {"seed": seed} for row in scores]
    table_of_scores = score_table(name, paired, rows, require_labels=False)
    return table_of_scores.join(_band_columns(paired, spatial_tasks, rows))


class _SpatialEvaluator:
    """Evaluation of representations on the spatial tasks of one fold."""

    def __init__(
        self,
        paired: PairedDataset,
        spatial_tasks: SpatialTasks,
        fold: Fold,
        probe: ProbeConfig,
        kinds: Collection[str],
    ) -> None:
        targets = [band_target.target for band_target in spatial_tasks.targets]
        targets = [target for target in targets if _can_be_scored(target, fold)]
        self.neighbours = FoldEvaluator(paired, targets, fold, probe)
        self.pairs = PairTask(spatial_tasks.pairs, paired, fold, probe)
        self.pair_probe = probe_name(LINEAR, paired)
        self.kinds, self.selections = kinds, dict[str, Selection]()

    def scores(
        self, blocks: Sequence[Block], seed: int, *, first: bool
    ) -> Iterator[dict[str, object]]:
        """Yield the scores, one dictionary per task, metric, probe and test donor.

        Parameters
        ----------
        blocks
            Standardised features of all observations.
        seed
            Seed of the representation.
        first
            Whether `seed` is the first one, for which nonlinear probes are scored too.
        """
        predictions: dict[str, dict[str, Prediction]] = {}
        if LINEAR in self.kinds:
            predictions[LINEAR] = self.neighbours.linear(blocks, self.selections, donor=False)
        if NONLINEAR in self.kinds and first:
            z = np.concatenate(equal_variance(blocks), axis=1)
            predictions |= self.neighbours.nonlinear([z], seed)
        for row in self.neighbours.scores(predictions):
            if row["metric"] in (_LABEL_METRICS if row["classes"] else _COMPOSITION_METRICS):
                yield row
        for row in self.pairs.scores(blocks, self.selections):
            yield row | {"probe": self.pair_probe}


def _can_be_scored(target: Target, fold: Fold) -> bool:
    """Return whether training labels exist and differ in class, and test labels exist."""
    train = fold.probe & target.labelled
    differs = len(np.unique(target.codes[train])) > 1 if target.classes else train.any()
    return bool(differs and (fold.test & target.labelled).any())


def _band_columns(
    paired: PairedDataset, spatial_tasks: SpatialTasks, rows: list[dict[str, object]]
) -> pd.DataFrame:
    """Return the `BAND_COLUMNS` of each row: target, number, radii and neighbours of its band."""
    columns: dict[tuple[object, object], tuple[object, ...]] = {}
    for item in spatial_tasks.targets:
        band, labelled = item.band, item.target.labelled
        values = band.inner_radius, band.outer_radius, band.degree.astype(np.float64)
        for donor in np.unique(paired.donor[labelled]):
            mask = labelled & (paired.donor == donor)
            means = [float(value[mask].mean()) for value in values]
            columns[item.target.name, donor] = (item.task, item.number, *means)
    without_band: tuple[object, ...] = (CONSISTENCY, None, None, None, None)
    values_of_rows = [columns.get((row["task"], row["donor"]), without_band) for row in rows]
    return pd.DataFrame(values_of_rows, columns=BAND_COLUMNS).astype({"band": "Int64"})
