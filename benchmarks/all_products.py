"""Products of all pairs of features without alignment: principal axes, and random projections.

python -m benchmarks.all_products dataset=lung components=16 pairs=data/pairs labels=data/labels \
    embeddings=data/embeddings scores=results/probe out=benchmarks/all_products/lung.csv

The controls `pca_products` and `random_products` of the study have products of features of equal
index, which only aligned directions make useful; here, as in `bilinear_full`, every feature of one
expert is multiplied by every feature of the other. What `bilinear_full` gains beyond these is due
to canonical directions. Gains are beside those of the study's methods with products. Two CPU
minutes per data set.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pandas as pd
from pydantic import PositiveInt

from benchmarks._data import DataArgs, read
from cell_synergy.core.config import arguments, load, read_param, read_section
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.names import UNIMODAL
from cell_synergy.data.config import BenchmarkConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.downstream.evaluate import evaluate
from cell_synergy.downstream.method_scores import TrainedMethod
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.finetuning.align import AlignConfig, align
from cell_synergy.models.pca_products import Model as PCAProducts
from cell_synergy.models.random_products import Model as RandomProducts
from cell_synergy.scoring.tables import ALL_FOLDS, headline_rows, read_scores, sis_table
from cell_synergy.training.method import Method

BESIDE = ("concat", "bilinear", "bilinear_full", "pca_products", "random_products")


class Args(DataArgs):
    """Data set, features of each side, folders that the study writes, and the output."""

    components: PositiveInt
    scores: Path


class AllPCAProducts(PCAProducts):
    """Principal axes of each expert with all products."""

    all_products: ClassVar[bool] = True


class AllRandomProducts(RandomProducts):
    """Random projections of each expert with all products."""

    all_products: ClassVar[bool] = True


def scored(
    name: str, method: Method, paired: PairedDataset, dataset: BenchmarkConfig
) -> pd.DataFrame:
    """Fit a method as the stage `align` does; return its scores, as `evaluate` writes them."""
    config, probe = load(AlignConfig, "align"), load(ProbeConfig, "probe")
    with TemporaryDirectory() as scratch:
        weights, curves = Path(scratch, "weights"), Path(scratch, "curves")
        align(name, method, paired, read_section("training"), config, weights, curves)
        trained = TrainedMethod(method, weights, paired, config.axes)
        seeds = trained.seeds()
        return evaluate(name, paired, dataset.tasks, seeds, trained.embed, probe).scores


def main(args: Args) -> None:
    """Fit, score, compare, print, write."""
    use_threads(read_param("threads"))
    paired, dataset = read(args)
    methods: dict[str, Method] = {
        "all_pca_products": AllPCAProducts(components=args.components),
        "all_random_products": AllRandomProducts(components=args.components),
    }
    study = read_scores(args.scores, args.dataset)
    scores = [study[study["method"].isin([*UNIMODAL, *BESIDE])]]
    for name, method in methods.items():
        scores.append(scored(name, method, paired, dataset).assign(dataset=args.dataset))
    table = headline_rows(sis_table(pd.concat(scores, ignore_index=True)), fold=ALL_FOLDS)
    table = table[[
        "dataset", "task", "method", "metric", "score", "gain", "gain_low", "gain_high", "p",
        "n_donors",
    ]]  # fmt: skip
    print(table.pivot_table("gain", "method", "task").round(3).to_string())
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.4g")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
