"""The spectral ceiling of one data set, and how every method stands to it."""

import sys
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from cell_synergy import models
from cell_synergy.core.config import Config, arguments, load, section, value
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import reported
from cell_synergy.core.files import atomic
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.scoring.tables import read_methods
from cell_synergy.studies.spectrum.config import SpectrumConfig
from cell_synergy.studies.spectrum.tabulate import tabulate
from cell_synergy.training import weights


class Args(Config):
    """Inputs and outputs."""

    dataset: str
    pairs: Path
    image: Path
    expression: Path
    weights: Path
    scores: Path
    out: Path


def main(args: Args) -> None:
    """Read, compute, write."""
    use_threads(value("threads"))
    dataset = load(DatasetConfig, f"data.{args.dataset}")
    paired = PairedDataset.read(args.pairs, args.image, args.expression, dataset)
    methods = {name: models.load(name, block) for name, block in section("models").items()}
    seeds = {name: weights.seeds(args.weights / name, paired.folds[0].name) for name in methods}

    def embed(name: str, fold: Fold, seed: int) -> Float32[np.ndarray, "obs d"]:
        learnt = weights.load(args.weights / name, fold.name, seed)
        return methods[name].transform(learnt, *paired.standardised(fold))

    table = tabulate(
        paired, dataset.tasks, seeds, embed, read_methods(args.scores, args.dataset, methods),
        load(SpectrumConfig, "spectrum"), load(ProbeConfig, "probe"), value("align")["held"],
    )  # fmt: skip
    with atomic(args.out) as new:
        table.to_csv(new, index=False, float_format="%.5g")


if __name__ == "__main__":
    with reported(__doc__):
        main(arguments(Args, sys.argv[1:]))
