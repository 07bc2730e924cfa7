"""What the public commands share: their words, and the places that they write to."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cell_synergy.core.config import Config, named, parse, suggest, validate
from cell_synergy.core.errors import ConfigError, answered_help, reported
from cell_synergy.core.outputs import Place, folder_place, guarded, table_place
from cell_synergy.core.pipeline import paths

RUNS = "runs"
INPUTS = ("pairs", "raw", "image", "expression", "weights", "frozen")
CHOICES = {
    "models.name", "data.dataset", "evaluation.modality", "evaluation.align_method", "expert.name",
}  # fmt: skip

Run = Callable[[dict[str, Any]], object]
"""What does a command's work: takes nested words, with paths, and writes."""


def command(
    argv: Sequence[str],
    help_text: str,
    config_name: str,
    stage_of: Callable[[dict[str, Any]], tuple[str, str]],
    run: Run,
    folder: str | None = None,
    *,
    resumes: bool = False,
) -> None:
    """Run a public command on a data set of the study, and print where its result is.

    Parameters
    ----------
    argv
        `--config-name NAME` (optional) and `a.b=value` words.
    help_text
        Printed for `--help`.
    config_name
        The only valid NAME: the reference release's name of this command's settings.
    stage_of
        Gives stage and method (or expert) from the words.
    run
        Does the work; takes the words with the stage's paths filled in.
    folder
        Where results that no stage has go, below runs/; the stage names the others' place.
    resumes
        Whether an interrupted run goes on where it stopped.
    """
    if answered_help(argv, help_text, bare=False):
        return
    with reported(resumes=resumes):
        given = _without_config_name(list(argv), config_name)
        words = parse(given)
        dataset, _ = named(words.get("data", {}), "dataset", "data")
        stage, method = stage_of(words)
        known = paths(stage, {"dataset": dataset, "method": method, "expert": method})
        own = {k: v for k, v in known.items() if "." not in k}
        outputs = [name for name in ("out", "curves") if name in own]
        usual = {
            n: Path(RUNS, folder, dataset, method) if folder else Path(own[n]) for n in outputs
        }
        places = [_place(n, words.get(n), _moved(usual[n], given)) for n in outputs]
        read = {n: Path(str({**own, **words}[n])) for n in INPUTS if n in {**own, **words}}
        with guarded(config_name, places, read) as new:
            run({**own, **words, **{name: str(path) for name, path in new.items()}})
        sys.stdout.write(f"written: {places[0].path}\n")


def command_on_table(
    argv: Sequence[str], config: type[Config], run: Run, name: str, beside: tuple[str, ...]
) -> None:
    """Run a public command on a table of the user's own, and print where its result is.

    Parameters
    ----------
    argv
        `name=value` words.
    config
        Which words there are; `units` is read, and `out`, a table, is written.
    run
        Does the work; takes the words.
    name
        The command.
    beside
        Endings of the tables beside `out`.
    """
    with reported():
        words = parse(argv, "units")
        given = validate(config, words, "argument").model_dump()
        usual = config.model_fields["out"].default
        place = table_place("out", words.get("out"), usual, beside)
        with guarded(name, [place], {"units": given["units"]}) as new:
            run({**words, "out": str(new["out"])})
        sys.stdout.write(f"written: {place.path}\n")


def _place(name: str, given: object, usual: Path) -> Place:
    if isinstance(given, dict):
        raise ConfigError(f"{name}.{next(iter(given))}: {name} is a place; write {name}=PATH")
    given = None if given is None else str(given)
    if usual.suffix == ".csv":
        return table_place(name, given, usual, (".npz",))
    return folder_place(name, given, usual)


def _moved(out: Path, given: Sequence[str]) -> Path:
    """Return the stage's output under runs/; its name ends with what `given` changes."""
    changes = [word.partition("=") for word in given if word.partition("=")[0] not in CHOICES]
    named_by = [f"{key}={Path(value).name}" for key, _, value in changes if "." in key]
    ending = ".csv" if out.suffix == ".csv" else ""
    name = ",".join([out.name.removesuffix(ending), *named_by]) + ending
    return Path(RUNS, *out.parts[1:-1], name)


def _without_config_name(argv: list[str], expected: str) -> list[str]:
    words = []
    while argv:
        word = argv.pop(0)
        flag, equals, name = word.partition("=")
        if flag not in {"--config-name", "-cn"}:
            words.append(word)
            continue
        name = name if equals else (argv.pop(0) if argv else "")
        if name != expected:
            raise ConfigError(f"--config-name {name}: unknown{suggest(name, [expected])}")
    return words
