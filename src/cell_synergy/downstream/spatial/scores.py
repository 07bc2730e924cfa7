"""Judge one representation by what surrounds each unit, and by which units lie close together."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from cell_synergy.core.errors import DataError
from cell_synergy.core.names import LINEAR, NONLINEAR, TRANSDUCTIVE
from cell_synergy.data.config import Task, none_of
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import Asked, Representation, table
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.tasks import Answer, Chosen, Goal
from cell_synergy.downstream.spatial.config import SpatialConfig
from cell_synergy.downstream.spatial.consistency import PairQuestion, Pairs, draw
from cell_synergy.downstream.spatial.graph import bands, edges
from cell_synergy.downstream.spatial.layout import CONSISTENCY, OF_THE_BAND
from cell_synergy.downstream.spatial.targets import Target, targets

TOO_FEW = "no donor has enough units to be asked about neighbours (`spatial.least`) or pairs"

OF_LABELS, OF_COMPOSITIONS = ("macro_f1", "bits"), ("r2",)  # metrics that are kept


@dataclass(frozen=True)
class Surroundings:
    """What is asked of every representation of a data set, the same for all.

    Attributes
    ----------
    targets
        The neighbours' labels and compositions, band by band.
    pairs
        Pairs of units.
    """

    targets: list[Target]
    pairs: Pairs

    @classmethod
    def of(
        cls, paired: PairedDataset, tasks: Mapping[str, Task], spatial: SpatialConfig
    ) -> "Surroundings":
        """Find the neighbours of all units, and draw the pairs.

        Of a data set that has none of the targets nothing is asked of neighbours, and a line says
        so; the pairs need no labels.
        """
        chosen = {name: tasks[name] for name in spatial.targets if name in tasks}
        if not chosen:
            source = paired.adata.uns["source"]
            tqdm.write(f"{source}: {none_of('spatial.targets', tasks)}; neighbours are left out")
        places = np.asarray(paired.adata.obsm["spatial"], dtype=np.float64)
        sections = paired.pieces  # neighbours and pairs on one side of every split
        around = bands(places, sections, edges(places, sections, spatial.neighbours))
        asked = targets(paired, chosen, around, spatial.least)
        return cls(asked, draw(places, sections, spatial.consistency, spatial.seed))


def judge(
    name: str,
    paired: PairedDataset,
    surroundings: Surroundings,
    seeds: list[int],
    represent: Representation,
    probe: ProbeConfig,
    kinds: Collection[str],
) -> pd.DataFrame:
    """Score the representation `represent(fold, seed)` of all units.

    Linear probes judge every seed, nonlinear ones the first. What no training unit of a fold has,
    or no test unit, is not asked there.

    Parameters
    ----------
    name
        Of the representation.
    tissue, surroundings
        The data set, and what is asked.
    seeds, represent
        The representation.
    probe, kinds
        Probes, and which of them are asked for neighbours: `linear`, `mlp`. Pairs of units are
        judged by linear ones.

    Returns
    -------
    :
        One row per task, metric, probe, fold, donor and seed, in the columns of the stage `probe`
        and `OF_THE_BAND`: `target`; `band`, from 1; its radii in micrometres and its `neighbours`
        per unit, means over the donor's units. The task is `neighbours TARGET BAND`, or
        `consistency`, which has no band. Where no donor has enough units to be asked about there
        are no rows.

    Raises
    ------
    DataError
        If the representation is not finite.
    """
    rows: list[dict[str, object]] = []
    for fold in paired.folds:
        asked = _Fold(paired, surroundings, fold, probe, kinds)
        for seed in seeds:
            z = standardise(represent(fold, seed), fold.align, paired.groups, paired.mode)
            if not np.isfinite(z).all():
                raise DataError(
                    f"{name}: the embedding of fold {fold.name!r}, seed {seed} is not finite; "
                    "train it again, with a smaller lr"
                )
            rows += [row | {"seed": seed} for row in asked.scores(z, seed, first=seed == seeds[0])]
    scores = table(name, paired, rows, asked=False)
    return scores.join(_of_bands(paired, surroundings, rows))


class _Fold:
    """What is asked about one fold."""

    def __init__(
        self,
        paired: PairedDataset,
        surroundings: Surroundings,
        fold: Fold,
        probe: ProbeConfig,
        kinds: Collection[str],
    ) -> None:
        goals = [target.goal for target in surroundings.targets]
        goals = [goal for goal in goals if _can_be_asked(goal, fold)]
        self.asked = Asked(paired, goals, fold, probe)
        self.pairs = PairQuestion(surroundings.pairs, paired, fold, probe)
        self.transductive = TRANSDUCTIVE * (paired.mode == "donor")
        self.kinds, self.chosen = kinds, dict[str, Chosen]()

    def scores(self, z: np.ndarray, seed: int, *, first: bool) -> Iterator[dict[str, object]]:
        """Yield one row per task, metric, probe and test donor."""
        answers: dict[str, dict[str, Answer]] = {}
        if LINEAR in self.kinds:
            answers[LINEAR] = self.asked.linear(z, self.chosen, donor=False)
        if NONLINEAR in self.kinds and first:
            answers |= self.asked.nonlinear([z], seed)
        for row in self.asked.scores(answers):
            if row["metric"] in (OF_LABELS if row["classes"] else OF_COMPOSITIONS):
                yield row
        for row in self.pairs.scores(z, self.chosen):
            yield row | {"probe": LINEAR + self.transductive}


def _can_be_asked(goal: Goal, fold: Fold) -> bool:
    """Whether training units have labels that differ, and test units have labels."""
    known = fold.probe & goal.labelled
    differ = len(np.unique(goal.codes[known])) > 1 if goal.classes else known.any()
    return bool(differ and (fold.test & goal.labelled).any())


def _of_bands(
    paired: PairedDataset, surroundings: Surroundings, rows: list[dict[str, object]]
) -> pd.DataFrame:
    """Return target, number, radii and neighbours of the band that each row is about."""
    known: dict[tuple[object, object], tuple[object, ...]] = {}
    for target in surroundings.targets:
        values = target.band.inner, target.band.outer, target.band.degree.astype(np.float64)
        for donor in np.unique(paired.donor[target.goal.labelled]):
            own = target.goal.labelled & (paired.donor == donor)
            means = [float(of_units[own].mean()) for of_units in values]
            known[target.goal.name, donor] = (target.task, target.number, *means)
    nothing: tuple[object, ...] = (CONSISTENCY, None, None, None, None)
    found = [known.get((row["task"], row["donor"]), nothing) for row in rows]
    bands_of_rows = pd.DataFrame(found, columns=OF_THE_BAND)
    return bands_of_rows.astype({"band": "Int64"})
