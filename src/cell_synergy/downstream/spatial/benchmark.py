"""Judge one method on one data set by space: what the stage `spatial` runs."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from tqdm import tqdm

from cell_synergy.commands.experiment import take
from cell_synergy.core.config import Config, load, validate, value
from cell_synergy.core.device import use_threads
from cell_synergy.core.files import atomic
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.spatial.checks import check
from cell_synergy.downstream.spatial.config import SpatialConfig
from cell_synergy.downstream.spatial.scores import TOO_FEW, Surroundings, judge
from cell_synergy.training import weights


class Paths(Config):
    """What the stage reads and writes."""

    pairs: Path
    image: Path
    expression: Path
    weights: Path
    out: Path


def run(words: dict[str, Any]) -> Path:
    """Judge the first seed as the nested words `models`, `data` and the paths say."""
    asked = take(words)
    paths = validate(Paths, words, "argument")
    use_threads(value("threads"))
    probe, spatial = load(ProbeConfig, "probe"), load(SpatialConfig, "spatial")
    paired = PairedDataset.read(paths.pairs, paths.image, paths.expression, asked.dataset)
    sections = asked.dataset.sections
    views = sections is None or sections.units == "cells"
    check(paired.adata, asked.dataset.unit_um, views=views)
    surroundings = Surroundings.of(paired, asked.dataset.tasks, spatial)

    def represent(fold: Fold, seed: int) -> Float32[np.ndarray, "obs d"]:
        learnt = weights.load(paths.weights, fold.name, seed)
        return asked.method.transform(learnt, *paired.standardised(fold))

    seeds = weights.seeds(paths.weights, paired.folds[0].name)[:1]
    scores = judge(asked.method_name, paired, surroundings, seeds, represent, probe, spatial.probes)
    if scores.empty:
        tqdm.write(f"{asked.dataset_name}: {TOO_FEW}; the table has no rows")
    with atomic(paths.out) as new:
        scores.to_csv(new, index=False, float_format="%.5g")
    return paths.out
