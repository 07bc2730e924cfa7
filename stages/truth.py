"""What is known of a simulated twin, on the tissue and after the experts; empty for real tissue."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from cell_synergy.atomic import atomic
from cell_synergy.compute import use_threads
from cell_synergy.config import Config, arguments, load, value
from cell_synergy.data.dataset import Dataset
from cell_synergy.data.tissue import Tissue
from cell_synergy.data.truth import truths
from cell_synergy.downstream.decoding import confusion
from cell_synergy.downstream.judging import Probe
from cell_synergy.errors import reported

COLUMNS = [
    "dataset", "task", "seen", "redundant", "unique_image", "unique_expression", "synergy",
    "sis_bits", "sis_macro_f1",
]  # fmt: skip


class Args(Config):
    """Inputs and outputs."""

    dataset: str
    pairs: Path
    image: Path
    expression: Path
    out: Path


def twin(dataset: Dataset, tissue: Tissue, probe: Probe) -> pd.DataFrame:
    """Count the tissue's state tables and blur them as the experts do."""
    (fold,) = tissue.folds
    latent = tissue.units.obsm["latent"]
    sides = zip(("image", "expression"), tissue.standardised(fold), strict=True)
    confusions = {
        side: {
            state: confusion(x, latent[state].to_numpy(np.int64), fold.probe, fold.test, probe)
            for state in latent
        }
        for side, x in sides
    }
    labels = {
        task: tissue.units.obs[task].cat.codes.to_numpy(np.int64)
        for task, spec in dataset.tasks.items()
        if spec.kind == "classification"
    }
    visible = tissue.units.uns["visible"]
    return truths(latent, labels, visible, confusions, fold.test)


def main(args: Args) -> None:
    """Read, compute, write."""
    use_threads(value("threads"))
    dataset = load(Dataset, f"data.{args.dataset}")
    probe = load(Probe, "probe")
    table = pd.DataFrame(columns=COLUMNS)
    if dataset.simulator is not None:
        tissue = Tissue.read(args.pairs, args.image, args.expression, dataset)
        table = twin(dataset, tissue, probe).assign(dataset=args.dataset)[COLUMNS]
    with atomic(args.out) as new:
        table.to_csv(new, index=False, float_format="%.9g")


if __name__ == "__main__":
    with reported():
        main(arguments(Args, sys.argv[1:]))
