"""Evaluate representations: macro F1 of labels, R2 of compositions, on held-out donors.

python examples/example_evaluate_f1_r2.py [DATASET] [METHOD ...]

Reads the study's embeddings and weights (`dvc pull`). A linear probe per task, its penalty selected
by inner cross-validation over training donors, is scored on every test donor. Means and ranges are
printed.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import pandas as pd

from cell_synergy import models
from cell_synergy.core.config import load, load_keys, read_section
from cell_synergy.core.errors import positional_arguments, report_errors
from cell_synergy.core.names import LINEAR
from cell_synergy.core.pipeline import paths
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.data.inputs import InputConfig
from cell_synergy.downstream.evaluate import FoldEvaluator, standardised_blocks
from cell_synergy.downstream.method_scores import TrainedMethod
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.probes.tasks import task_targets
from cell_synergy.scoring.tables import PAPER_METRICS


def read(dataset: str) -> tuple[PairedDataset, DatasetConfig]:
    """Return a data set with both experts' embeddings, and its configuration."""
    spec = load(DatasetConfig, f"data.{dataset}")
    arguments = paths("evaluate", {"dataset": dataset, "method": "any"}, read_section("experts"))
    pairs, image, expression, labels = (
        Path(arguments[name]) for name in ("pairs", "image", "expression", "labels")
    )
    return PairedDataset.read(pairs, image, expression, spec, labels), spec


def weights_folder(dataset: str, method: str) -> Path:
    """Return the folder of the study's weights of a method."""
    axes = {"dataset": dataset, "method": method}
    return Path(paths("align", axes, read_section("experts"))["out"])


def linear_scores(
    paired: PairedDataset, spec: DatasetConfig, dataset: str, folders: Mapping[str, Path | None]
) -> pd.DataFrame:
    """Return a row per method, task, metric and test donor, of each method's first seed.

    Parameters
    ----------
    paired, spec, dataset
        The data set, its configuration and its name.
    folders
        Folder of the weights of each method; None for those of the study.
    """
    return pd.DataFrame(_rows(paired, spec, dataset, folders))


def _rows(
    paired: PairedDataset, spec: DatasetConfig, dataset: str, folders: Mapping[str, Path | None]
) -> Iterator[dict[str, object]]:
    probe, targets = load(ProbeConfig, "probe"), task_targets(paired, spec.tasks)
    axes = load_keys(InputConfig, "align").axes
    for name, given in folders.items():
        method = models.load(name, read_section(f"models.{name}"))
        trained = TrainedMethod(method, given or weights_folder(dataset, name), paired, axes)
        seed = trained.seeds()[0]
        for fold in paired.folds:
            z = standardised_blocks(name, trained.embed(fold, seed), paired, fold, seed)
            evaluator = FoldEvaluator(paired, targets, fold, probe)
            for row in evaluator.scores({LINEAR: evaluator.linear(z, {}, donor=False)}):
                yield {"method": name, **row}


def summary(scores: pd.DataFrame, over_donors: Literal["mean", "min", "max"]) -> pd.DataFrame:
    """Return macro F1 (or R2) over test donors: a row per task, a column per method."""
    main = scores[scores["metric"].isin(PAPER_METRICS)]
    return main.pivot_table("value", ["task", "metric"], "method", over_donors, sort=False)


def main(dataset: str = "lung", *methods: str) -> None:
    """Print means, and the range over donors."""
    paired, spec = read(dataset)
    chosen = methods or ("image", "expression", "concat", "comm")
    scores = linear_scores(paired, spec, dataset, dict.fromkeys(chosen))
    donors = scores["donor"].nunique()
    print(f"{dataset}: linear probe, mean over {donors} test donors")
    print(summary(scores, "mean").round(3).to_string())
    print("\nlowest and highest donor")
    for end in ("min", "max"):
        print(summary(scores, end).round(3).to_string())


if __name__ == "__main__":
    with report_errors(__doc__):
        main(*positional_arguments(main, sys.argv[1:]))
