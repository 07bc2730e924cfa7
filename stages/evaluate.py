"""Score one method on one data set: probes of its joint embedding, and predictions over space."""

import sys
from pathlib import Path

from tqdm import tqdm

from cell_synergy.commands.args import ExperimentArgs
from cell_synergy.commands.experiment import Experiment, read_paired
from cell_synergy.core.config import arguments, load, load_keys, read_param
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.data.config import SpatialBenchmarkConfig
from cell_synergy.data.inputs import InputConfig
from cell_synergy.downstream.evaluate import evaluate
from cell_synergy.downstream.method_scores import TrainedMethod, write_scores
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.downstream.spatial import scores as spatial_scores
from cell_synergy.downstream.spatial.checks import check
from cell_synergy.downstream.spatial.config import SpatialConfig


class Args(ExperimentArgs):
    """Inputs and outputs; the posteriors of the probes are written beside `out`, as safetensors."""

    labels: Path
    weights: Path
    out: Path
    spatial: Path


def main(args: Args) -> None:
    """Read, score every seed by probes and the first by space, write."""
    use_threads(read_param("threads"))
    experiment = Experiment.from_overrides(args.models, args.data)
    probe, spatial = load(ProbeConfig, "probe"), load(SpatialConfig, "spatial")
    axes = load_keys(InputConfig, "align").axes
    dataset_name, overrides = experiment.dataset_name, experiment.dataset_overrides
    dataset = load_keys(SpatialBenchmarkConfig, f"data.{dataset_name}", overrides)
    paired = read_paired(args, dataset)
    views = dataset.reader.units in (None, "cells")
    check(paired.adata, dataset.unit_um, views=views)
    spatial_tasks = spatial_scores.SpatialTasks.of(paired, dataset.tasks, spatial)
    trained = TrainedMethod(experiment.method, args.weights, paired, axes)
    name, seeds = experiment.method_name, trained.seeds()
    evaluation = evaluate(name, paired, dataset.tasks, seeds, trained.embed, probe)
    over_space = spatial_scores.evaluate(
        name, paired, spatial_tasks, seeds[:1], trained.embed, probe, spatial.probes
    )
    if over_space.empty:
        tqdm.write(f"{dataset_name}: {spatial_scores.TOO_FEW}; the table has no rows")
    write_scores(evaluation, args.out)
    with atomic_write(args.spatial) as new:
        over_space.to_csv(new, index=False, float_format="%.5g")


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
