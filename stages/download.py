"""Get a data set's raw files: from their public source, a mirror, the hub, or the simulator.

The files of a user's own folder stay there; the output records them.
"""

import hashlib
import os
import shutil
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

from cell_synergy.core.config import (
    Config,
    arguments,
    load_keys,
    read_param,
    read_section,
    validate,
)
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.resume.scratch import scratch_folder
from cell_synergy.data.config import RawConfig
from cell_synergy.data.source_config import FolderSource, HubSource
from cell_synergy.data.study_design import RolesConfig
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
    """Simulate, record or fetch; an interrupted download is resumed from the scratch folder."""
    use_threads(read_param("threads"))
    dataset = load_keys(RawConfig, f"data.{args.dataset}")
    roles = load_keys(RolesConfig, f"data.{args.dataset}")
    with atomic_write(args.out) as folder:
        if dataset.simulator is not None:
            folder.mkdir()
            progress = partial(tqdm, desc=args.dataset, unit="section")
            platform = {"platform": dataset.reader.kind}
            parameters = {**read_section("simulator"), **dataset.simulator.tissue(), **platform}
            config = validate(SimulatorConfig, parameters, "simulator")
            simulate(args.dataset, config, roles.role_of, folder, progress)
        elif isinstance(dataset.source, FolderSource | HubSource):
            if isinstance(dataset.source, HubSource):
                fetch_hub(dataset.source, dataset.reader)
            record_folder(Path(dataset.source.folder).expanduser(), dataset, folder)
        else:
            mirror = os.environ.get("CELL_SYNERGY_MIRROR")
            manifest = args.manifests / f"{args.dataset}.csv"
            version = hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]
            partial_download = scratch_folder() / f"{args.dataset}-{version}"
            download(manifest, partial_download, Path(mirror) if mirror else None)
            shutil.move(partial_download, folder)


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True):
        main(arguments(Args, sys.argv[1:]))
