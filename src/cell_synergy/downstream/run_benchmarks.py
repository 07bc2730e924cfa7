"""Score a representation of the study, or your own embeddings, with probes.

python -m cell_synergy.downstream.run_benchmarks units=my.h5ad image=X_uni \
    expression=X_nicheformer label=region donor=patient joint=X_fused out=sis.csv

reads two embeddings from `obsm`, labels and donors from `obs`, holds each donor out in turn, and
writes the SIS of their concatenation and of every embedding named by `joint` (optional, several
separated by commas), with intervals from five donors on. The scores are written beside it, as
sis-scores.csv, and redundant, unique and synergistic bits, as sis-information.csv.
`standardise=donor` scales features with the observations of each donor. Estimators of
scikit-learn's kind, `estimator=sklearn.ensemble:RandomForestClassifier` or one of a file of your
own, are further probes.

python -m cell_synergy.downstream.run_benchmarks --config-name downstream \
    evaluation.modality=multimodal data.dataset=lung

scores a method of the study on every task of a data set.

`evaluation.modality` is multimodal, unimodal_img or unimodal_gex; `evaluation.align_method` names
the method (by default the focal `method` of params.yaml), `evaluation.weights` a folder of its
weights (by default those of the stage `align`). Overrides of the sections `models.<name>`,
`data.<dataset>` and `probe` may follow, and `align.axes`, with the value that it was fitted with.

Both write to `out=FILE.csv`, by default a file under runs/, or to a file of the usual name in
`out=FOLDER`, and replace only files there that the same command wrote.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from cell_synergy.commands.args import ExperimentArgs
from cell_synergy.commands.command import StageArguments, command, command_on_table
from cell_synergy.core.config import Config, load, load_keys, merge, read_param, validate
from cell_synergy.core.errors import print_requested_help, report_errors

if TYPE_CHECKING:
    from cell_synergy.downstream.user_table import UserTableConfig

SUFFIXES = ("-scores", "-information")  # of the tables beside the SIS of a user's table
UNIMODAL = {"unimodal_img": "image", "unimodal_gex": "expression"}


class EvaluationConfig(Config):
    """Selection of the representation to score.

    Attributes
    ----------
    modality
        Both embeddings fused (`multimodal`), or one of them alone.
    align_method
        Name of the fusion method; None for the focal method.
    weights
        Folder of the method's weights; None for those of the stage `align`.
    """

    modality: Literal["multimodal", "unimodal_img", "unimodal_gex"]
    align_method: str | None = None
    weights: Path | None = None


class Args(ExperimentArgs):
    """Inputs, output, and overrides of the sections `probe` and `align`.

    Attributes
    ----------
    probe
        Overrides of the section `probe` of params.yaml.
    align
        Override of `align.axes`, the number of principal axes that the method was fitted on.
    labels
        File of the observations' labels.
    weights
        Folder of the method's weights.
    out
        The score table to write; posteriors are written beside it.
    """

    probe: Any = Field(default_factory=dict)
    align: Any = Field(default_factory=dict)
    labels: Path
    weights: Path
    out: Path


def run(args: Args) -> None:
    """Score a method of the study on a data set, and write scores and posteriors."""
    from cell_synergy.commands.experiment import Experiment, read_paired
    from cell_synergy.core.device import use_threads
    from cell_synergy.data.config import BenchmarkConfig
    from cell_synergy.downstream.evaluate import evaluate
    from cell_synergy.downstream.method_scores import TrainedMethod, write_scores
    from cell_synergy.downstream.probes.config import ProbeConfig

    experiment = Experiment.from_overrides(args.models, args.data)
    overrides = experiment.dataset_overrides
    dataset = load_keys(BenchmarkConfig, f"data.{experiment.dataset_name}", overrides)
    probe, axes = load(ProbeConfig, "probe", args.probe), _axes(args.align)
    use_threads(read_param("threads"))
    paired = read_paired(args, dataset)
    trained = TrainedMethod(experiment.method, args.weights, paired, axes)
    name, tasks = experiment.method_name, dataset.tasks
    write_scores(evaluate(name, paired, tasks, trained.seeds(), trained.embed, probe), args.out)


def _axes(overrides: Any) -> int | None:  # noqa: ANN401 - a word or a block
    """Return `align.axes` of params.yaml, or the override: principal axes of fusion methods."""
    from cell_synergy.data.inputs import InputConfig

    return load_keys(InputConfig, "align", overrides).axes


def run_on_table(args: "UserTableConfig") -> None:
    """Score the embeddings of a user's table, and write scores, bits and SIS."""
    from cell_synergy.core.device import use_threads
    from cell_synergy.data.classes import ClassRule
    from cell_synergy.downstream.information.decompose import InformationConfig
    from cell_synergy.downstream.probes.config import ProbeConfig
    from cell_synergy.downstream.user_estimators import load_estimators
    from cell_synergy.downstream.user_table import write_table_scores
    from cell_synergy.raw.build import PairsConfig

    use_threads(read_param("threads"))
    estimators = load_estimators(args.estimator)
    rule: ClassRule = load(PairsConfig, "pairs")
    cells = load(InformationConfig, "information").cells
    write_table_scores(args, load(ProbeConfig, "probe"), cells, rule, estimators)


def _stage_of(overrides: Mapping[str, Any]) -> StageArguments:
    """Return the stage `evaluate`, the method that `evaluation` names, and the other arguments."""
    remaining = dict(overrides)
    evaluation = validate(EvaluationConfig, remaining.pop("evaluation", {}), "evaluation")
    name = UNIMODAL.get(evaluation.modality) or evaluation.align_method or read_param("method")
    remaining["models"] = merge({}, remaining.get("models", {})) | {"name": str(name)}
    if evaluation.weights is not None:
        remaining["weights"] = str(evaluation.weights)
    return StageArguments("evaluate", str(name), remaining)


def main(argv: Sequence[str]) -> None:
    """Run the public command."""
    keys = [word.partition("=")[0] for word in argv]
    dotted = any("." in key and key != word for key, word in zip(keys, argv, strict=True))
    if (dotted or {"--config-name", "-cn"} & set(keys)) and "units" not in keys:
        command(argv, __doc__ or "", "downstream", Args, _stage_of, run)
    elif not print_requested_help(argv, __doc__ or "", bare=False):
        with report_errors():
            from cell_synergy.downstream.user_table import UserTableConfig
        command_on_table(argv, UserTableConfig, run_on_table, "downstream units=", SUFFIXES)


if __name__ == "__main__":
    main(sys.argv[1:])
