"""Redundant, unique and synergistic bits of every task of one data set, from all posteriors."""

import sys
from pathlib import Path

import numpy as np

from cell_synergy.core import arrays
from cell_synergy.core.config import Config, arguments, load, read_param
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.data import paired
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.splits import folds, split_groups
from cell_synergy.downstream.information.decompose import InformationConfig
from cell_synergy.downstream.information.task_information import information


class Args(Config):
    """Inputs and outputs."""

    dataset: str
    pairs: Path
    posteriors: Path
    out: Path


def read(folder: Path, method: str) -> dict[str, np.ndarray]:
    """Read the posteriors of a method's probes on test observations."""
    remedy = "compute them with `dvc repro`"
    return arrays.read_npz(folder / f"{method}.npz", "a file of posteriors (.npz)", remedy)


def main(args: Args) -> None:
    """Read, compute, write."""
    use_threads(read_param("threads"))
    dataset = load(DatasetConfig, f"data.{args.dataset}")
    cells = load(InformationConfig, "information").cells
    adata = paired.read(args.pairs)
    posteriors = {method: read(args.posteriors, method) for method in read_param("models")}
    groups = split_groups(adata.obs, dataset)
    table = information(adata, groups, folds(adata.obs, dataset), dataset.tasks, posteriors, cells)
    table.insert(0, "dataset", args.dataset)
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.6g")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
