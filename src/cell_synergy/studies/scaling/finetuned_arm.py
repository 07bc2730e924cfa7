"""The tunable expert on nested parts of the training pairs: fine-tuned, and frozen as it was.

Fine-tuning learns from the drawn pairs and their labels. With all labels its curve is that of
linear probes that read the features which were tuned on the drawn ones; at 100 % both are one.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from cell_synergy import encoders
from cell_synergy.core.config import Config, load, section, value
from cell_synergy.core.device import use_threads
from cell_synergy.core.files import atomic
from cell_synergy.core.names import FINE_TUNED
from cell_synergy.core.resume.part_store import PartStore, resumable
from cell_synergy.data.config import DatasetConfig, Task
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.paired import read as read_pairs
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.tasks import Answer, goals
from cell_synergy.finetuning import tunable
from cell_synergy.finetuning.adapters import Adapted
from cell_synergy.finetuning.config import FinetuneConfig
from cell_synergy.finetuning.finetune import seen_by
from cell_synergy.finetuning.tunable import Expert
from cell_synergy.finetuning.tuning import Frozen, Tuning
from cell_synergy.studies.scaling import DRAWN, EVERY, FROZEN, PRIOR, TUNED, WHOLE
from cell_synergy.studies.scaling.subset_evaluator import Row, Scored, linear_rows, table
from cell_synergy.studies.scaling.subsets import Part, ScalingConfig, parts


class Args(Config):
    """Inputs and outputs; `frozen` is the folder of the frozen expert."""

    dataset: str
    expert: str
    pairs: Path
    frozen: Path
    out: Path


def scale(
    expert: Expert,
    paired: PairedDataset,
    tasks: Mapping[str, Task],
    settings: FinetuneConfig,
    probe: ProbeConfig,
    scaling: ScalingConfig,
    known: PartStore,
) -> Iterator[Row]:
    """Yield the scores of an expert at every fraction, and what was left out and why.

    Parameters
    ----------
    expert
        What is tuned.
    tissue
        The units, with the expert's own embedding as `expression`.
    tasks
        What is predicted.
    settings, probe, scaling
        Sections of params.yaml.
    known
        What a former run has scored; it is not learnt again.
    """
    adapted = Adapted(expert, settings)
    every = goals(paired, tasks)
    for fold in paired.folds:
        for part in parts(paired, fold, scaling):
            scored = Scored(paired, every, part, probe, scaling)
            rows = partial(_arms, adapted, scored, part, settings.seed + part.draw)
            yield from known.rows(f"{fold.name} {part.fraction} {part.draw}", rows)


def _arms(adapted: Adapted, scored: Scored, part: Part, seed: int) -> Iterator[Row]:
    """Yield what every arm makes of one part."""
    paired = scored.paired
    for arm in (PRIOR, FROZEN, TUNED):
        yield from ({"method": arm, **row} for row in scored.refused)
    nothing = np.zeros((paired.adata.n_obs, 1), dtype=np.float32)
    for arm, x in ((PRIOR, nothing), (FROZEN, paired.expression)):
        for row in linear_rows(scored, x):
            yield {"method": arm, "seed": seed, **row}
    for row in _tuned(adapted, scored, part, seed):
        yield {"method": TUNED, "seed": seed, **row}


def _tuned(adapted: Adapted, scored: Scored, part: Part, seed: int) -> Iterator[Row]:
    """Tune on each task of one part, and yield what that scores."""
    paired, known = scored.paired, scored.linear(DRAWN, scored.paired.expression)
    frozen = Frozen.of(paired.expression, part.few.align, paired.groups, paired.mode)
    drawn: dict[str, Answer] = {}
    read: dict[str, Answer] = {}
    for name, linear in known.items():
        question, settings = scored.asked[DRAWN].tasks[name][1], adapted.settings
        strength = linear.chosen.strength
        tuning = Tuning(adapted, frozen, question, strength, scored.probe, settings, seed)
        found = tuning.run()
        drawn[name] = found.answer
        if part.fraction != WHOLE and part.draw == 0:
            x = adapted.embed(found.tuned, np.arange(paired.adata.n_obs)).cpu().numpy()
            read |= scored.linear(EVERY, x, [name])
    yield from scored.rows(DRAWN, drawn, FINE_TUNED)
    if part.fraction == WHOLE:
        yield from scored.rows(EVERY, drawn, FINE_TUNED)
    else:
        yield from scored.rows(EVERY, read, FINE_TUNED)


def run(args: Args) -> None:
    """Read, draw, tune, score, write."""
    use_threads(value("threads"))
    dataset, probe = load(DatasetConfig, f"data.{args.dataset}"), load(ProbeConfig, "probe")
    settings, scaling = load(FinetuneConfig, "finetune"), load(ScalingConfig, "scaling")
    block = section(f"encoders.{args.expert}")
    encoder = encoders.load(args.expert, block)
    tasks = scaling.chosen(dataset.tasks, args.dataset)
    blocks = [dataset, settings, probe, scaling]
    said = [args.expert, block, *(each.model_dump(mode="json") for each in blocks)]
    with resumable("scaling", *said, files=[args.pairs, args.frozen]) as known:
        rows: list[Row] = []
        units = read_pairs(args.pairs)
        if tasks:
            expert = tunable.read(args.expert, encoder, units, args.frozen, settings.cells)
            paired = seen_by(expert, units, dataset, settings)
            rows = list(scale(expert, paired, tasks, settings, probe, scaling, known))
        with atomic(args.out) as new:
            table(rows, units).to_csv(new, index=False, float_format="%.5g")
