"""Scores of one method, trained on nested fractions of one data set's training pairs."""

import sys
from pathlib import Path

from cell_synergy.commands.args import ExperimentArgs
from cell_synergy.commands.experiment import Experiment, read_paired
from cell_synergy.core.config import arguments, load, load_keys, read_param, read_section
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.core.resume.part_store import resumable
from cell_synergy.data import embeddings
from cell_synergy.data.config import BenchmarkConfig
from cell_synergy.downstream.probes.config import ProbeConfig
from cell_synergy.studies.scaling.subsampled_method import FitConfig, SubsampledMethod, scale
from cell_synergy.studies.scaling.subset_evaluator import table
from cell_synergy.studies.scaling.subsets import ScalingConfig


class Args(ExperimentArgs):
    """Inputs and outputs."""

    labels: Path
    out: Path


def main(args: Args) -> None:
    """Read, draw, fit, score, write."""
    use_threads(read_param("threads"))
    experiment = Experiment.from_overrides(args.models, args.data)
    name, method, overrides = (
        experiment.method_name, experiment.method, experiment.dataset_overrides,
    )  # fmt: skip
    dataset = load_keys(BenchmarkConfig, f"data.{experiment.dataset_name}", overrides)
    fit, probe = load_keys(FitConfig, "align"), load(ProbeConfig, "probe")
    config, training = load_keys(ScalingConfig, "scaling"), read_section("training")
    paired, expert = read_paired(args, dataset), embeddings.read_card(args.expression)["encoder"]
    configs = [each.model_dump(mode="json") for each in (method, dataset, fit, probe, config)]
    inputs = [args.pairs, args.image, args.expression, args.labels]
    with resumable("scaling", name, training, *configs, files=inputs) as store:
        subsampled = SubsampledMethod(method, paired, training, fit, config.draws, store.folder)
        rows = list(scale(name, subsampled, dataset, probe, config, store))
        with atomic_write(args.out) as new:
            scores = table(rows, paired.adata, str(expert))
            scores.to_csv(new, index=False, float_format="%.5g")


if __name__ == "__main__":
    with report_errors(__doc__, resumes=True):
        main(arguments(Args, sys.argv[1:]))
