"""Get a data set's raw files: from their public place, a mirror, the hub, or the simulator.

What a user's own folder holds stays there and is recorded.
"""

import hashlib
import os
import shutil
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

from cell_synergy.core.config import Config, arguments, load, section, validate, value
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import reported
from cell_synergy.core.files import atomic
from cell_synergy.core.resume.scratch import scratch_folder
from cell_synergy.data.config import DatasetConfig
from cell_synergy.raw.download import download
from cell_synergy.raw.simulator import simulate
from cell_synergy.raw.simulator.config import SimulatorConfig
from cell_synergy.raw.user_folder import fetch_hub, record_folder


class Args(Config):
    """Inputs and outputs."""

    dataset: str
    manifests: Path
    out: Path


def main(args: Args) -> None:
    """Simulate, record or fetch; what was fetched before a kill is kept in the scratch folder."""
    use_threads(value("threads"))
    dataset = load(DatasetConfig, f"data.{args.dataset}")
    with atomic(args.out) as folder:
        if dataset.simulator is not None:
            folder.mkdir()
            progress = partial(tqdm, desc=args.dataset, unit="section")
            own = {**dataset.simulator.model_dump(), "platform": dataset.reader}
            config = validate(SimulatorConfig, {**section("simulator"), **own}, "simulator")
            simulate(args.dataset, config, dataset.role_of, folder, progress)
        elif dataset.folder is not None:
            place = Path(dataset.folder).expanduser()
            if dataset.hub is not None:
                fetch_hub(dataset, place)
            record_folder(place, dataset, folder)
        else:
            mirror = os.environ.get("CELL_SYNERGY_MIRROR")
            manifest = args.manifests / f"{args.dataset}.csv"
            version = hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]
            partly = scratch_folder() / f"{args.dataset}-{version}"
            download(manifest, partly, Path(mirror) if mirror else None)
            shutil.move(partly, folder)


if __name__ == "__main__":
    with reported(__doc__, resumes=True):
        main(arguments(Args, sys.argv[1:]))
