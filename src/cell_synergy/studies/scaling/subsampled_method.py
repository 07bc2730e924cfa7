"""One method on nested parts of the training pairs.

At 100 % stands what the stage `align` learnt, one draw per seed. Of smaller fractions every draw is
learnt anew, from those of its pairs that `align` learns from, in as many gradient steps: an epoch
is shorter and there are more of them.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from cell_synergy.commands.experiment import take
from cell_synergy.core.config import Config, load, section, validate, value
from cell_synergy.core.device import use_threads
from cell_synergy.core.files import atomic
from cell_synergy.core.resume.part_store import PartStore, resumable
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold, held
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.tasks import goals
from cell_synergy.finetuning.align import AlignConfig
from cell_synergy.studies.scaling import WHOLE
from cell_synergy.studies.scaling.subset_evaluator import Row, Scored, linear_rows, table
from cell_synergy.studies.scaling.subsets import Part, ScalingConfig, parts
from cell_synergy.training import weights
from cell_synergy.training.method import Job, Method, Pairs, Run, Weights


class Paths(Config):
    """What the stage reads and writes."""

    pairs: Path
    image: Path
    expression: Path
    weights: Path
    out: Path


class Arm:
    """A method that learns from parts of the pairs.

    Parameters
    ----------
    method
        What is learnt.
    tissue
        Both embeddings of all units.
    training, align
        Sections of params.yaml.
    folder
        The weights that `align` wrote.
    work
        Where an interrupted run leaves the checkpoint that it continues from.
    """

    def __init__(
        self,
        method: Method,
        paired: PairedDataset,
        training: Mapping[str, Any],
        align: AlignConfig,
        folder: Path,
        work: Path,
    ) -> None:
        self.method, self.paired, self.training = method, paired, training
        self.align, self.folder, self.work = align, folder, work

    def learnt(self, fold: Fold, part: Part) -> Iterator[tuple[int, Weights]]:
        """Yield the seed and what was learnt from a part; from the whole once per seed."""
        learnt_from = fold.align & ~held(self.paired.adata, fold.align, self.align.held)
        if part.fraction == WHOLE:
            for seed in weights.seeds(self.folder, fold.name):
                yield seed, weights.load(self.folder, fold.name, seed)
        else:
            job = self._job(part, learnt_from)
            yield job.seed, self._fit(job, int(learnt_from.sum()))

    def embedding(self, part: Part, learnt: Weights) -> Float32[np.ndarray, "obs d"]:
        """Embed all units, test donors too, with what was learnt."""
        return self.method.transform(learnt, *self.paired.standardised(part.few))

    def _job(self, part: Part, learnt_from: np.ndarray) -> Job:
        image, expression = self.paired.standardised(part.few)
        own, none = (
            Pairs(image[rows], expression[rows], self.paired.donor[rows])
            for rows in (np.flatnonzero(part.few.align & learnt_from), np.zeros(0, dtype=np.int64))
        )
        return Job(f"{part.few.name}-{part.draw}", own, none, self.align.seed + part.draw)

    def _fit(self, job: Job, whole: int) -> Weights:
        """Learn one draw, in the steps that `whole` pairs are given."""
        rows, batch = len(job.pairs.donor), int(self.training["batch_size"])
        smaller, steps = min(batch, rows), int(self.training["max_epochs"]) * (whole // batch)
        own = {"batch_size": smaller, "max_epochs": max(-(-steps // (rows // smaller)), 1)}
        checkpoint = self.work / f"{job.name}-{rows}.pt"
        run = Run({**self.training, **own}, _no_curve, checkpoint, f"{rows} pairs")
        (learnt,) = self.method.fit([job], run)
        checkpoint.unlink(missing_ok=True)
        return learnt


def _no_curve(name: str, number: float, epoch: int) -> None:
    """Log nothing."""


def scale(
    name: str,
    arm: Arm,
    dataset: DatasetConfig,
    probe: ProbeConfig,
    settings: ScalingConfig,
    known: PartStore,
) -> Iterator[Row]:
    """Yield the scores of a method at every fraction, and what was left out and why.

    What is `known` of a former run is not learnt again.
    """
    every = goals(arm.paired, settings.chosen(dataset.tasks, str(arm.paired.adata.uns["source"])))
    for fold in arm.paired.folds:
        asked = {}
        for part in parts(arm.paired, fold, settings):
            scored = Scored(arm.paired, every, part, probe, settings)
            yield from ({"method": name, **row} for row in scored.refused)
            if scored.asked:
                asked[part] = scored
        for part, scored in asked.items():
            rows = partial(_scored, name, arm, fold, part, scored)
            yield from known.rows(f"{fold.name} {part.fraction} {part.draw}", rows)


def _scored(name: str, arm: Arm, fold: Fold, part: Part, scored: Scored) -> Iterator[Row]:
    """Learn a part and yield its scores."""
    for seed, learnt in arm.learnt(fold, part):
        for row in linear_rows(scored, arm.embedding(part, learnt)):
            yield {"method": name, "seed": seed, **row}


def run(words: dict[str, Any]) -> Path:
    """Draw, learn and score as the nested words `models`, `data` and the paths say."""
    asked = take(words)
    paths = validate(Paths, words, "argument")
    use_threads(value("threads"))
    paired = PairedDataset.read(paths.pairs, paths.image, paths.expression, asked.dataset)
    align = load(AlignConfig, "align")
    probe, settings = load(ProbeConfig, "probe"), load(ScalingConfig, "scaling")
    training = section("training")
    blocks = [asked.method, asked.dataset, align, probe, settings]
    said = [asked.method_name, training, *(each.model_dump(mode="json") for each in blocks)]
    files = [paths.pairs, paths.image, paths.expression, paths.weights]
    with resumable("scaling", *said, files=files) as known:
        arm = Arm(asked.method, paired, training, align, paths.weights, known.folder)
        rows = list(scale(asked.method_name, arm, asked.dataset, probe, settings, known))
        with atomic(paths.out) as new:
            table(rows, paired.adata).to_csv(new, index=False, float_format="%.5g")
    return paths.out
