"""Bits of every task of one data set: from all posteriors, and the truth of a simulated one.

Both tables have redundant, unique and synergistic parts. The truth is that of the tissue's states,
and of the states that the two embeddings show, with the gain over both experts that a fusion could
have at best; of real tissue its table is empty.
"""

import sys
from pathlib import Path

import pandas as pd

from cell_synergy.core.config import Config, arguments, load, read_param
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.downstream.information.decompose import InformationConfig
from cell_synergy.downstream.information.task_information import information
from cell_synergy.downstream.method_scores import read_posteriors
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.decoding import true_decompositions
from cell_synergy.studies.truth import COLUMNS, read


class Args(Config):
    """Inputs and outputs; `truth` is the table of true decompositions."""

    dataset: str
    raw: Path
    pairs: Path
    image: Path
    expression: Path
    labels: Path
    posteriors: Path
    out: Path
    truth: Path


def truth_table(args: Args, dataset: DatasetConfig, paired: PairedDataset) -> pd.DataFrame:
    """Compute the true decompositions of a simulated data set; of real tissue none are known."""
    if dataset.simulator is None:
        return pd.DataFrame(columns=COLUMNS)
    latent, visible = read(args.raw, paired.adata, dataset.unit_um)
    probe = load(ProbeConfig, "probe")
    table = true_decompositions(paired, dataset.tasks, latent, visible, probe)
    return table.assign(dataset=args.dataset).reindex(columns=COLUMNS)


def main(args: Args) -> None:
    """Read, compute, write."""
    use_threads(read_param("threads"))
    dataset = load(DatasetConfig, f"data.{args.dataset}")
    clusters = load(InformationConfig, "information").cells
    paired = PairedDataset.read(args.pairs, args.image, args.expression, dataset, args.labels)
    posteriors = {
        name: read_posteriors(args.posteriors / f"{name}.safetensors")
        for name in read_param("models")
    }
    table = information(
        paired.adata, paired.groups, paired.folds, dataset.tasks, posteriors, clusters
    )
    table.insert(0, "dataset", args.dataset)
    truth = truth_table(args, dataset, paired)
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.6g")
    with atomic_write(args.truth) as new:
        truth.to_csv(new, index=False, float_format="%.9g")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
