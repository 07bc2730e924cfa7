"""What CoMM, `bilinear` and a nonlinear probe reach of the ceiling of synergy, on drawn twins."""

import sys
from pathlib import Path

from cell_synergy import models
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
from cell_synergy.studies.config import ReachConfig
from cell_synergy.studies.drawn_twin import simulator_config
from cell_synergy.studies.reach import Settings, reach_table


class Args(Config):
    """The simulated data set whose states and counts the twins have, and the output."""

    dataset: str
    out: Path


def main(args: Args) -> None:
    """Draw, fit, probe, write."""
    use_threads(read_param("threads"))
    source = load(SimulatorSource, f"data.{args.dataset}.source")
    methods = {
        "comm": models.load("comm", read_section("models.comm")),
        "bilinear": models.load("bilinear", read_section("models.bilinear")),
    }
    settings = Settings(
        simulator=simulator_config(read_section("simulator"), source),
        expert=validate(Expert, read_section("encoders.pca"), "encoders.pca"),
        methods=methods,
        axes=load_keys(InputConfig, "align").axes,
        training=read_section("training"),
        probe=load(ProbeConfig, "probe"),
    )
    table = reach_table(load(ReachConfig, "reach"), settings)
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.6g")


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True):
        main(arguments(Args, sys.argv[1:]))
