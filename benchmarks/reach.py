"""What readers reach of the ceiling of synergy: the study's stage `reach` on a larger grid.

python -m benchmarks.reach dataset=lung seeds=5 tasks=matched_niche,mixed_niche \
    pairs=270,1080,2160 labels=160,640 out=benchmarks/reach.csv

The twins, with the states and counts of a data set, and the rows are those of the stage. Two CPU
minutes per seed.
"""

import sys
from pathlib import Path

from pydantic import PositiveInt

from cell_synergy.core.config import (
    Config,
    arguments,
    load,
    load_keys,
    read_param,
    read_section,
    validate,
)
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.data.inputs import InputConfig
from cell_synergy.data.source_config import SimulatorSource
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.encoders.pca import Expert
from cell_synergy.models.bilinear import Model as Bilinear
from cell_synergy.models.comm import Model as CoMM
from cell_synergy.studies.config import ReachConfig
from cell_synergy.studies.drawn_twin import simulator_config
from cell_synergy.studies.reach import Settings, reach_table


class Args(Config):
    """Data set, number of seeds, tasks, numbers of training pairs and of labels, and the output."""

    dataset: str
    seeds: PositiveInt
    tasks: list[str]
    pairs: list[PositiveInt]
    labels: list[PositiveInt]
    out: Path


def main(args: Args) -> None:
    """Draw, fit, probe, write."""
    use_threads(read_param("threads"))
    changes = args.model_dump(include={"seeds", "tasks", "pairs", "labels"})
    source = load(SimulatorSource, f"data.{args.dataset}.source")
    settings = Settings(
        simulator=simulator_config(read_section("simulator"), source),
        expert=validate(Expert, read_section("encoders.pca"), "encoders.pca"),
        methods={
            "comm": validate(CoMM, read_section("models.comm"), "models.comm"),
            "bilinear": validate(Bilinear, read_section("models.bilinear"), "models.bilinear"),
        },
        axes=load_keys(InputConfig, "align").axes,
        training=read_section("training"),
        probe=load(ProbeConfig, "probe"),
    )
    table = reach_table(load(ReachConfig, "reach", changes), settings)
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.4g")


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True, bare=False):
        main(arguments(Args, sys.argv[1:]))
