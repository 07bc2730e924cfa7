"""Score one method on one data set: a score per task, metric, fold, donor and seed."""

import sys
from pathlib import Path

from cell_synergy.commands.args import ExperimentArgs
from cell_synergy.commands.experiment import Experiment
from cell_synergy.core.config import arguments, load, read_param
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.downstream.evaluate import evaluate
from cell_synergy.downstream.method_scores import TrainedMethod, write_scores
from cell_synergy.downstream.probes.config import ProbeConfig


class Args(ExperimentArgs):
    """Inputs and outputs; the posteriors are written beside `out`, as .npz."""

    weights: Path
    out: Path


def main(args: Args) -> None:
    """Read, score, write."""
    use_threads(read_param("threads"))
    experiment = Experiment.from_overrides(args.models, args.data)
    probe = load(ProbeConfig, "probe")
    paired = experiment.read_paired(args)
    trained = TrainedMethod(experiment.method, args.weights, paired)
    name, tasks = experiment.method_name, experiment.dataset.tasks
    write_scores(evaluate(name, paired, tasks, trained.seeds(), trained.embed, probe), args.out)


if __name__ == "__main__":
    with report_errors(__doc__):
        main(arguments(Args, sys.argv[1:]))
