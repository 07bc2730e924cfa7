"""Align two embeddings of the same observations with one method.

python -m cell_synergy.finetuning.run_alignment --config-name align \
    models.name=comm data.dataset=lung training.max_epochs=50

Reads the inputs of the stage `align@lung-comm`. Besides `models.name` and `data.dataset` there may
be overrides of the sections `models.<name>`, `data.<dataset>`, `training` and `align`. Writes
weights to `out=FOLDER` and training curves to `curves=FOLDER`, by default folders of that stage's
name under runs/, never to results/. Only files that this command wrote are replaced there. The same
command resumes an interrupted run.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from cell_synergy.commands.args import ExperimentArgs
from cell_synergy.commands.command import StageArguments, command
from cell_synergy.core.config import load, load_keys, merge, read_param, read_section, validate
from cell_synergy.core.overrides import pop_choice


class Args(ExperimentArgs):
    """Inputs, outputs, and overrides of sections of params.yaml.

    Attributes
    ----------
    training, align
        Overrides of the sections of these names.
    out, curves
        Folders of the weights and of the training curves to write.
    """

    training: Any = Field(default_factory=dict)
    align: Any = Field(default_factory=dict)
    out: Path
    curves: Path


def run(args: Args) -> None:
    """Fit a method to a data set, and write weights and training curves."""
    from cell_synergy.commands.experiment import Experiment, read_paired
    from cell_synergy.core.device import use_threads
    from cell_synergy.data.study_design import DesignConfig
    from cell_synergy.finetuning.align import AlignConfig, align

    experiment = Experiment.from_overrides(args.models, args.data)
    name, overrides = experiment.dataset_name, experiment.dataset_overrides
    design = load_keys(DesignConfig, f"data.{name}", overrides)
    training = _training(args.training)
    config = load(AlignConfig, "align", args.align)
    use_threads(read_param("threads"))
    paired, label = read_paired(args, design), f"{name} {experiment.method_name}"
    align(label, experiment.method, paired, training, config, args.out, args.curves)


def _training(overrides: Any) -> dict[str, object]:  # noqa: ANN401 - a word or a block
    """Return the section `training` with overrides, checked also for an untrained method."""
    merged = merge(read_section("training"), overrides)
    if overrides:
        from cell_synergy.training.loop import TrainingConfig

        validate(TrainingConfig, merged, "training")
    return merged


def _stage_of(overrides: Mapping[str, Any]) -> StageArguments:
    name, _ = pop_choice(overrides.get("models", {}), "name", "models")
    return StageArguments("align", name, overrides)


def main(argv: Sequence[str]) -> None:
    """Run the public command."""
    command(argv, __doc__ or "", "align", Args, _stage_of, run, resumes=True)


if __name__ == "__main__":
    main(sys.argv[1:])
