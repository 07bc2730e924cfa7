"""Read a data set's raw files into paired units, reference donors apart."""

import sys
from pathlib import Path

from cell_synergy.config import Config, arguments, load
from cell_synergy.data import building, pairs
from cell_synergy.data.dataset import Dataset
from cell_synergy.data.images import Tissue
from cell_synergy.data.readers import read
from cell_synergy.errors import reported


class Args(Config):
    """Inputs and outputs."""

    dataset: str
    raw: Path
    out: Path
    reference: Path


def main(args: Args) -> None:
    """Read, join, check, write."""
    dataset = load(Dataset, f"data.{args.dataset}")
    tissue = load(Tissue, "pairs")
    sections = read(args.raw, dataset)
    study, reference = building.build(args.dataset, sections, dataset, tissue, args.raw)
    pairs.write(args.out, study)
    pairs.write(args.reference, reference)


if __name__ == "__main__":
    with reported():
        main(arguments(Args, sys.argv[1:]))
