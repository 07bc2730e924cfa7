"""Score one method on one data set by space: neighbours in bands of distance, and close pairs."""

import sys
from pathlib import Path

from tqdm import tqdm

from cell_synergy.commands.args import ExperimentArgs
from cell_synergy.commands.experiment import Experiment
from cell_synergy.core.config import arguments, load, read_param
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.downstream.method_scores import TrainedMethod
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.spatial.checks import check
from cell_synergy.downstream.spatial.config import SpatialConfig
from cell_synergy.downstream.spatial.scores import TOO_FEW, SpatialTasks, evaluate


class Args(ExperimentArgs):
    """Inputs and outputs."""

    weights: Path
    out: Path


def main(args: Args) -> None:
    """Read, score the first seed, write."""
    use_threads(read_param("threads"))
    experiment = Experiment.from_overrides(args.models, args.data)
    probe, spatial = load(ProbeConfig, "probe"), load(SpatialConfig, "spatial")
    dataset, paired = experiment.dataset, experiment.read_paired(args)
    views = dataset.sections is None or dataset.sections.units == "cells"
    check(paired.adata, dataset.unit_um, views=views)
    spatial_tasks = SpatialTasks.of(paired, dataset.tasks, spatial)
    trained = TrainedMethod(experiment.method, args.weights, paired)
    name, seeds = experiment.method_name, trained.seeds()[:1]
    scores = evaluate(name, paired, spatial_tasks, seeds, trained.embed, probe, spatial.probes)
    if scores.empty:
        tqdm.write(f"{experiment.dataset_name}: {TOO_FEW}; the table has no rows")
    with atomic_write(args.out) as new:
        scores.to_csv(new, index=False, float_format="%.5g")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
