"""Fit one method on one data set: weights per fold and seed."""

import sys
from pathlib import Path

from cell_synergy.commands.args import ExperimentArgs
from cell_synergy.commands.experiment import Experiment, read_paired
from cell_synergy.core.config import arguments, load, load_keys, read_param, read_section
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.data.study_design import DesignConfig
from cell_synergy.finetuning.align import AlignConfig, align


class Args(ExperimentArgs):
    """Inputs and outputs."""

    out: Path
    curves: Path


def main(args: Args) -> None:
    """Read, fit, write."""
    use_threads(read_param("threads"))
    experiment = Experiment.from_overrides(args.models, args.data)
    name, overrides = experiment.dataset_name, experiment.dataset_overrides
    design = load_keys(DesignConfig, f"data.{name}", overrides)
    training, config = read_section("training"), load(AlignConfig, "align")
    paired, label = read_paired(args, design), f"{name} {experiment.method_name}"
    align(label, experiment.method, paired, training, config, args.out, args.curves)


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True):
        main(arguments(Args, sys.argv[1:]))
