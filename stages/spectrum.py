"""The spectral ceiling of one data set, and every method relative to it."""

import sys
from pathlib import Path

from cell_synergy import models
from cell_synergy.core.config import Config, arguments, load, load_keys, read_param, read_section
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.data.config import BenchmarkConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.inputs import InputConfig
from cell_synergy.data.splits import Fold
from cell_synergy.downstream.method_scores import TrainedMethod
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.feature_blocks import Embedding
from cell_synergy.scoring.tables import read_methods
from cell_synergy.studies.spectrum.config import SpectrumConfig
from cell_synergy.studies.spectrum.tabulate import tabulate


class Args(Config):
    """Inputs and outputs."""

    dataset: str
    pairs: Path
    image: Path
    expression: Path
    labels: Path
    weights: Path
    scores: Path
    out: Path


def main(args: Args) -> None:
    """Read, compute, write."""
    use_threads(read_param("threads"))
    dataset = load_keys(BenchmarkConfig, f"data.{args.dataset}")
    paired = PairedDataset.read(args.pairs, args.image, args.expression, dataset, args.labels)
    axes = load_keys(InputConfig, "align").axes
    trained = {
        name: TrainedMethod(models.load(name, block), args.weights / name, paired, axes)
        for name, block in read_section("models").items()
    }
    seeds = {name: method.seeds() for name, method in trained.items()}

    def embed(name: str, fold: Fold, seed: int) -> Embedding:
        return trained[name].embed(fold, seed)

    table = tabulate(
        paired, dataset.tasks, seeds, embed, read_methods(args.scores, args.dataset, trained),
        load(SpectrumConfig, "spectrum"), load(ProbeConfig, "probe"), read_param("align.held"),
    )  # fmt: skip
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.5g")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
