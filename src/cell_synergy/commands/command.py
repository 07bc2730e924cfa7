"""Public commands: parse arguments, protect existing files, compute, print the output path."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from cell_synergy.core.config import Config, parse, read_section, validate
from cell_synergy.core.errors import ConfigError, print_requested_help, report_errors
from cell_synergy.core.messages import suggest
from cell_synergy.core.outputs import OutputPath, folder_output, guarded_outputs, table_output
from cell_synergy.core.overrides import pop_choice
from cell_synergy.core.pipeline import paths

RUNS = "runs"
INPUTS = ("pairs", "labels", "raw", "image", "expression", "weights", "frozen")
OUTPUTS = ("out", "curves")
CHOICES = {
    "models.name", "data.dataset", "evaluation.modality", "evaluation.align_method", "expert.name",
}  # fmt: skip

A = TypeVar("A", bound=Config)


class StageArguments(NamedTuple):
    """The stage of dvc.yaml whose inputs and output are a command's defaults.

    Attributes
    ----------
    stage
        Name of the stage.
    name
        Name of the method or expert of the stage's instance.
    overrides
        Arguments that replace the defaults, by the fields of the command's configuration.
    """

    stage: str
    name: str
    overrides: Mapping[str, Any]


def command(
    argv: Sequence[str],
    help_text: str,
    config_name: str,
    args: type[A],
    stage_of: Callable[[Mapping[str, Any]], StageArguments],
    run: Callable[[A], None],
    folder: str | None = None,
    *,
    resumes: bool = False,
) -> None:
    """Run a command on a data set of the study, and print `written: PATH`.

    An error that a user can correct ends the program with one sentence. Existing outputs are
    replaced only after `run` has succeeded. Without arguments the exit status is 2.

    Parameters
    ----------
    argv
        `--config-name NAME` (optional) and `a.b=value` arguments.
    help_text
        Text printed for `--help`, and without arguments.
    config_name
        The only accepted NAME, as in the reference release.
    args
        Configuration class with which the arguments are validated.
    stage_of
        Function from the parsed arguments to the stage of dvc.yaml whose inputs are the defaults,
        the name of the method or expert, and the arguments that replace defaults.
    run
        Function that computes and writes the outputs, given an instance of `args`.
    folder
        Results go to `runs/<folder>/<dataset>/<name>`; None for the path of the stage's output with
        `runs` as its first folder. Overrides are appended to the name; `out=` replaces the path.
    resumes
        Whether the command resumes after an interrupt, for the message of an interrupt.
    """
    if print_requested_help(argv, help_text, bare=False):
        return
    with report_errors(resumes=resumes):
        assignments = _without_config_name(list(argv), config_name)
        arguments = parse(assignments)
        dataset, _ = pop_choice(arguments.get("data", {}), "dataset", "data")
        stage, name, overrides = stage_of(arguments)
        axes = {"dataset": dataset, "method": name, "expert": name}
        stage_paths = paths(stage, axes, read_section("experts"))
        defaults = {key: path for key, path in stage_paths.items() if key in args.model_fields}
        merged = defaults | dict(overrides)
        outputs = {output: Path(stage_paths[output]) for output in OUTPUTS if output in stage_paths}
        if folder:
            outputs["out"] = Path(RUNS, folder, dataset, name)
        output_paths = [
            _output_path(output, arguments.get(output), _below_runs(path, assignments))
            for output, path in outputs.items()
        ]
        inputs = {key: Path(str(merged[key])) for key in INPUTS if key in merged}
        with guarded_outputs(config_name, output_paths, inputs) as new:
            written = {output: str(path) for output, path in new.items()}
            run(validate(args, merged | written, "argument"))
        sys.stdout.write(f"written: {output_paths[0].path}\n")


def command_on_table(
    argv: Sequence[str],
    args: type[A],
    run: Callable[[A], None],
    name: str,
    suffixes: tuple[str, ...],
) -> None:
    """Run a command on a user's table, and print `written: PATH`.

    An error that a user can correct ends the program with one sentence. Existing outputs are
    replaced only after `run` has succeeded.

    Parameters
    ----------
    argv
        `name=value` arguments.
    args
        Configuration class with which the arguments are validated: `units` is the input file,
        `out` the output table.
    run
        Function that computes and writes the outputs, given an instance of `args`.
    name
        Name of the command in the record of the files that it wrote; only these are replaced.
    suffixes
        Text that is appended to the stem of `out` in the name of each further output table.
    """
    with report_errors():
        arguments = parse(argv, "units")
        validated = validate(args, arguments, "argument")
        default = args.model_fields["out"].default
        output = table_output("out", arguments.get("out"), default, suffixes)
        with guarded_outputs(name, [output], {"units": validated.model_dump()["units"]}) as new:
            run(validated.model_copy(update={"out": new["out"]}))
        sys.stdout.write(f"written: {output.path}\n")


def _output_path(name: str, value: object, default: Path) -> OutputPath:
    if isinstance(value, dict):
        raise ConfigError(f"{name}.{next(iter(value))}: {name} is a path; write {name}=PATH")
    text = None if value is None else str(value)
    if default.suffix == ".csv":
        return table_output(name, text, default, (".safetensors",))
    return folder_output(name, text, default)


def _below_runs(out: Path, assignments: Sequence[str]) -> Path:
    """Return the path of a stage's output below runs/, with the overrides in its name."""
    pairs = [word.partition("=") for word in assignments if word.partition("=")[0] not in CHOICES]
    overrides = [f"{key}={Path(value).name}" for key, _, value in pairs if "." in key]
    suffix = ".csv" if out.suffix == ".csv" else ""
    name = ",".join([out.name.removesuffix(suffix), *overrides]) + suffix
    return Path(RUNS, *out.parts[1:-1], name)


def _without_config_name(argv: list[str], expected: str) -> list[str]:
    assignments = []
    while argv:
        word = argv.pop(0)
        flag, equals, name = word.partition("=")
        if flag not in {"--config-name", "-cn"}:
            assignments.append(word)
            continue
        name = name if equals else (argv.pop(0) if argv else "")
        if name != expected:
            raise ConfigError(f"--config-name {name}: unknown{suggest(name, [expected])}")
    return assignments
