"""Planted gains: how often gains of a known size are found, beside the predicted power.

python -m benchmarks.planted_gains seeds=2 studies=400 out=benchmarks/planted_gains.csv

Twins are drawn with the states and counts of the lung twin and 120 test donors, the population from
which studies of 5, 8 and 12 donors are drawn. All of the paper's methods are fitted to it, and
gains of 0, .02, .05 and .1 of the label entropy are planted in each in turn
(`cell_synergy.studies.planted_gains`). A row of the table is the mean over methods.
"""

import sys
from pathlib import Path

import pandas as pd
from pydantic import PositiveInt

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
from cell_synergy.core.names import PAPER_METHODS
from cell_synergy.data.inputs import InputConfig
from cell_synergy.data.source_config import SimulatorSource
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.encoders.pca import Expert
from cell_synergy.studies.config import LimitsConfig, PlantedConfig, ReachConfig
from cell_synergy.studies.drawn_twin import simulator_config
from cell_synergy.studies.planted_gains import planted_gains
from cell_synergy.studies.reach import Settings

POPULATION = 120
TASKS = ["cell_type", "image_state", "expression_state", "mixed_niche"]
DONORS, EFFECTS = [5, 8, 12], [0.0, 0.02, 0.05, 0.1]
KEYS = ["seed", "task", "donors", "methods", "effect", "studies"]


class Args(Config):
    """Numbers of twins, and of studies of each for every effect; and the output."""

    seeds: PositiveInt
    studies: PositiveInt
    out: Path


def settings() -> Settings:
    """Return simulator, expert, methods and probes as params.yaml has them."""
    source = load(SimulatorSource, "data.lung.source")
    return Settings(
        simulator=simulator_config(read_section("simulator"), source),
        expert=validate(Expert, read_section("encoders.pca"), "encoders.pca"),
        methods={name: models.load(name, read_section(f"models.{name}")) for name in PAPER_METHODS},
        axes=load_keys(InputConfig, "align").axes,
        training=read_section("training"),
        probe=load(ProbeConfig, "probe"),
    )


def study(seeds: int, studies: int) -> pd.DataFrame:
    """Return the share of studies that find a planted gain, the mean over planted methods.

    Parameters
    ----------
    seeds, studies
        Numbers of twins, and of studies of each for every effect.
    """
    reach = load(ReachConfig, "reach")
    twin = reach.twin.model_copy(update={"test": POPULATION})
    config = PlantedConfig(
        twin=twin, seed=reach.seed, seeds=seeds, tasks=TASKS, donors=DONORS, effects=EFFECTS,
        studies=studies,
    )  # fmt: skip
    table = planted_gains(config, settings(), load(LimitsConfig, "limits").correlation)
    means = ["power", "predicted_power", "promised_power", "sd"]
    return table.groupby(KEYS, sort=False)[means].mean().reset_index()


def main(args: Args) -> None:
    """Draw, fit, plant, print, write."""
    use_threads(read_param("threads"))
    table = study(args.seeds, args.studies)
    print(table.to_string(index=False, float_format="%.3f"))
    with atomic_write(args.out) as new:
        table.to_csv(new, index=False, float_format="%.4f")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))
