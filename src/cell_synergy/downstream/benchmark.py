"""Judge one method on one data set: the same function for the stage and the public command."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from cell_synergy import models
from cell_synergy.atomic import atomic
from cell_synergy.compute import use_threads
from cell_synergy.config import Config, merge, named, section, validate, value
from cell_synergy.data.dataset import Dataset
from cell_synergy.data.splits import Fold
from cell_synergy.data.tissue import Tissue
from cell_synergy.downstream.judging import Judged, Probe, judge
from cell_synergy.finetuning import weights
from cell_synergy.models import Method


class Paths(Config):
    """What the stage reads and writes."""

    pairs: Path
    image: Path
    expression: Path
    weights: Path
    out: Path
    posteriors: Path


def run(words: dict[str, Any]) -> Path:
    """Judge as the nested words `models`, `data`, `probe` and the paths say."""
    name, over_method = named(words.pop("models", {}), "name", "models")
    dataset_name, over_data = named(words.pop("data", {}), "dataset", "data")
    block = merge(section(f"models.{name}"), over_method)
    data = section(f"data.{dataset_name}")
    dataset = validate(Dataset, merge(data, over_data), f"data.{dataset_name}")
    probe = validate(Probe, merge(section("probe"), words.pop("probe", {})), "probe")
    paths = validate(Paths, words, "argument")
    use_threads(value("threads"))
    tissue = Tissue.read(paths.pairs, paths.image, paths.expression, dataset)
    judged = judge_method(name, models.load(name, block), tissue, paths.weights, dataset, probe)
    write(judged, paths.out, paths.posteriors)
    return paths.out


def judge_method(
    name: str, method: Method, tissue: Tissue, folder: Path, dataset: Dataset, probe: Probe
) -> Judged:
    """Score the joint embedding that the weights in `folder` give, on every task."""

    def represent(fold: Fold, seed: int) -> Float32[np.ndarray, "units d"]:
        return method.transform(weights.load(folder, fold.name, seed), *tissue.standardised(fold))

    seeds = weights.seeds(folder, tissue.folds[0].name)
    return judge(name, tissue, dataset, seeds, represent, probe)


def write(judged: Judged, scores: Path, posteriors: Path) -> None:
    """Write the scores as CSV, with six significant digits, and the posteriors as NPZ."""
    with atomic(scores) as new:
        judged.scores.to_csv(new, index=False, float_format="%.6g")
    with atomic(posteriors) as new, new.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **judged.posteriors)
