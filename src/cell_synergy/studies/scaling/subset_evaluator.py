"""Scores of a representation that was learnt from a part of the pairs, in the probes' layout."""

from collections.abc import Iterator, Mapping, Sequence

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32

from cell_synergy.core.names import LINEAR
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.remarks import remarked
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import COLUMNS as OF_THE_SCORE
from cell_synergy.downstream.evaluate import OF_THE_FIT, Asked
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.linear import LinearProbe
from cell_synergy.downstream.probes.tasks import Answer, Goal
from cell_synergy.studies.scaling import DRAWN, EVERY, WHOLE
from cell_synergy.studies.scaling.subsets import Part, ScalingConfig

COLUMNS = [*OF_THE_SCORE, "labels", "fraction", "draw", "pairs", "labelled", "note"]
METRICS = "macro_f1", "r2", "bits"
_FIT = ["method", "task", "metric", "fold", "seed", "labels", "fraction", "draw"]

Row = dict[str, object]
Embedding = Float32[np.ndarray, "obs d"]


class Scored:
    """The questions of one part, and the rows that answers to them become.

    Attributes
    ----------
    questions
        What can be asked, for the labels drawn and for all of them: a fold and its goals.
    """

    def __init__(
        self,
        paired: PairedDataset,
        goals: list[Goal],
        part: Part,
        probe: ProbeConfig,
        settings: ScalingConfig,
    ) -> None:
        self.paired, self.part, self.probe = paired, part, probe
        self.refused: list[Row] = []
        self.asked: dict[str, Asked] = {}
        for labels, fold in ((DRAWN, part.few), (EVERY, part.labelled)):
            kept = [goal for goal in goals if self._asks(goal, labels, fold, settings)]
            if kept:
                self.asked[labels] = Asked(paired, kept, fold, probe)

    def _asks(self, goal: Goal, labels: str, fold: Fold, settings: ScalingConfig) -> bool:
        """Return whether a goal can be learnt; if not, note why."""
        known = np.flatnonzero(fold.probe & goal.labelled)
        note = ""
        if self.part.pairs < settings.pairs:
            note = f"{self.part.pairs} pairs, {settings.pairs} needed"
        elif len(known) < settings.labels:
            note = f"{len(known)} labelled units, {settings.labels} needed"
        elif goal.classes and len(np.unique(goal.codes[known])) == 1:
            note = "one class only"
        if note:
            row = {"task": goal.name, "fold": fold.name, "labelled": len(known), "note": note}
            self.refused.append(row | self._place(labels))
        return not note

    def _place(self, labels: str) -> Row:
        part = self.part
        return {
            "labels": labels, "fraction": part.fraction, "draw": part.draw, "pairs": part.pairs,
        }  # fmt: skip

    def linear(
        self, labels: str, x: Embedding, names: Sequence[str] | None = None
    ) -> dict[str, Answer]:
        """Answer the tasks `names`, or all, with linear probes of features as they are."""
        if labels not in self.asked:
            return {}
        asked = self.asked[labels]
        z = standardise(x, asked.fold.align, self.paired.groups, self.paired.mode)
        probe, found = LinearProbe(z, self.probe), {}
        for name in asked.tasks if names is None else names:
            question = asked.tasks[name][1]
            found[name] = probe.answer(question, probe.choose(question))
        return found

    def rows(
        self, labels: str, answers: Mapping[str, Answer], probe: str = LINEAR
    ) -> Iterator[Row]:
        """Yield a row per task, metric and test donor."""
        if answers:
            asked = self.asked[labels]
            for row in asked.scores({probe: answers}):
                if row["metric"] in METRICS:
                    question = asked.tasks[str(row["task"])][1]
                    known = {"labelled": len(question.train), "note": ""}
                    yield row | self._place(labels) | known


def linear_rows(scored: Scored, x: Embedding) -> Iterator[Row]:
    """Yield the linear probe's rows for the labels drawn and, in the first draw, for all labels.

    Of the whole, the labels drawn are all labels.
    """
    drawn = scored.linear(DRAWN, x)
    yield from scored.rows(DRAWN, drawn)
    if scored.part.fraction == WHOLE:
        yield from scored.rows(EVERY, drawn)
    elif scored.part.draw == 0:
        yield from scored.rows(EVERY, scored.linear(EVERY, x))


def table(rows: list[Row], units: ad.AnnData) -> pd.DataFrame:
    """Return the rows of a data set as a table; what is a fit's stands in its first row."""
    found = pd.DataFrame(rows, columns=COLUMNS).assign(dataset=units.uns["source"])
    found.loc[found.duplicated(_FIT), OF_THE_FIT] = np.nan
    return remarked(found, units.uns)
