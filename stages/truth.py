"""True decompositions of simulated tissue and of its decoded states; empty for real tissue."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from cell_synergy.core.config import Config, arguments, load, read_param
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.data.config import DatasetConfig
from cell_synergy.data.dataset import PairedDataset
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.decoding import confusions
from cell_synergy.studies.truth import Visible, ground_truth, read

COLUMNS = [
    "dataset", "task", "seen", "redundant", "unique_image", "unique_expression", "synergy",
    "sis_bits", "sis_macro_f1",
]  # fmt: skip


class Args(Config):
    """Inputs and outputs."""

    dataset: str
    raw: Path
    pairs: Path
    image: Path
    expression: Path
    out: Path


def known_answers(
    dataset: DatasetConfig,
    paired: PairedDataset,
    latent: pd.DataFrame,
    visible: Visible,
    probe: ProbeConfig,
) -> pd.DataFrame:
    """Compute true decompositions from latent states, and from states decoded from embeddings."""
    (fold,) = paired.folds
    sides = zip(("image", "expression"), paired.standardised(fold), strict=True)
    decoded = {}
    for side, x in sides:
        states = sorted({state for by_side in visible.values() for state in by_side[side]})
        decoded[side] = confusions(x, latent[states], fold.probe, fold.test, probe)
    labels = {
        task: paired.adata.obs[task].cat.codes.to_numpy(np.int64)
        for task, spec in dataset.tasks.items()
        if spec.kind == "classification"
    }
    labels = {task: codes for task, codes in labels.items() if (codes[fold.test] >= 0).any()}
    return ground_truth(latent, labels, visible, decoded, fold.test)


def main(args: Args) -> None:
    """Read, compute, write."""
    use_threads(read_param("threads"))
    dataset = load(DatasetConfig, f"data.{args.dataset}")
    probe = load(ProbeConfig, "probe")
    table = pd.DataFrame(columns=COLUMNS)
    if dataset.simulator is not None:
        paired = PairedDataset.read(args.pairs, args.image, args.expression, dataset)
        latent, visible = read(args.raw, paired.adata, dataset.unit_um)
        table = known_answers(dataset, paired, latent, visible, probe).assign(dataset=args.dataset)
        table = table.reindex(columns=COLUMNS)
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.9g")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
