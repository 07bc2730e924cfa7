"""Judge one method on one data set: the same function for the stage and the public command."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from cell_synergy.commands.experiment import take
from cell_synergy.core.config import Config, merge, section, validate, value
from cell_synergy.core.device import use_threads
from cell_synergy.core.files import atomic
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.evaluate import Judged, judge
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.training import weights
from cell_synergy.training.method import Method


class Paths(Config):
    """What the stage reads and writes; posteriors stand beside `out`, as .npz."""

    pairs: Path
    image: Path
    expression: Path
    weights: Path
    out: Path


def run(words: dict[str, Any]) -> Path:
    """Judge as the nested words `models`, `data`, `probe` and the paths say."""
    asked = take(words)
    probe = validate(ProbeConfig, merge(section("probe"), words.pop("probe", {})), "probe")
    paths = validate(Paths, words, "argument")
    use_threads(value("threads"))
    paired = PairedDataset.read(paths.pairs, paths.image, paths.expression, asked.dataset)
    judged = judge_method(
        asked.method_name, asked.method, paired, paths.weights, asked.dataset, probe
    )
    write(judged, paths.out)
    return paths.out


def judge_method(
    name: str,
    method: Method,
    paired: PairedDataset,
    folder: Path,
    dataset: DatasetConfig,
    probe: ProbeConfig,
) -> Judged:
    """Score the joint embedding that the weights in `folder` give, on every task."""

    def represent(fold: Fold, seed: int) -> Float32[np.ndarray, "obs d"]:
        return method.transform(weights.load(folder, fold.name, seed), *paired.standardised(fold))

    seeds = weights.seeds(folder, paired.folds[0].name)
    return judge(name, paired, dataset.tasks, seeds, represent, probe)


def write(judged: Judged, scores: Path) -> None:
    """Write the scores as CSV, with five significant digits, and the posteriors beside, as NPZ."""
    with atomic(scores.with_suffix(".npz")) as new, new.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **judged.posteriors)
    with atomic(scores) as new:
        judged.scores.to_csv(new, index=False, float_format="%.5g")
