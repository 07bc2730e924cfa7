"""Get a data set's raw files: from their public place or a mirror, or from the simulator."""

import os
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

from cell_synergy.atomic import atomic
from cell_synergy.config import Config, arguments, load
from cell_synergy.data.dataset import Dataset


class Args(Config):
    """Inputs and outputs."""

    dataset: str
    manifests: Path
    out: Path


def main(args: Args) -> None:
    """Simulate, copy or fetch."""
    dataset = load(Dataset, f"data.{args.dataset}")
    if dataset.simulator is not None:
        from cell_synergy.data.simulator import simulate  # noqa: PLC0415 - the others need none

        with atomic(args.out) as folder:
            folder.mkdir()
            progress = partial(tqdm, desc=args.dataset, unit="section")
            simulate(args.dataset, dataset.simulator, dataset.roles, folder, progress)
    else:
        from cell_synergy.data.download import download  # noqa: PLC0415

        mirror = os.environ.get("CELL_SYNERGY_MIRROR")
        manifest = args.manifests / f"{args.dataset}.csv"
        download(manifest, args.out, Path(mirror) if mirror else None)


if __name__ == "__main__":
    main(arguments(Args, sys.argv[1:]))
