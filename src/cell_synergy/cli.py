"""What the public commands share: their words, and the paths of the stage they name."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cell_synergy.core.config import named, parse, suggest
from cell_synergy.core.errors import ConfigError, reported
from cell_synergy.pipeline import paths

RUNS = "runs"
CHOICES = {
    "models.name", "data.dataset", "evaluation.modality", "evaluation.align_method", "expert.name",
}  # fmt: skip


def command(
    argv: Sequence[str],
    help_text: str | None,
    config_name: str,
    stage_of: Callable[[dict[str, Any]], tuple[str, str]],
    run: Callable[[dict[str, Any]], Path],
    folder: str | None = None,
) -> None:
    """Run a public command, and print where its result is.

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
    """
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(help_text or "")
        return
    with reported():
        given = _without_config_name(list(argv), config_name)
        words = parse(given)
        dataset, _ = named(words.get("data", {}), "dataset", "data")
        stage, method = stage_of(words)
        known = paths(stage, {"dataset": dataset, "method": method, "expert": method})
        own = {k: v for k, v in known.items() if "." not in k}
        outputs = [name for name in ("out", "curves") if name in own]
        place = {
            n: Path(RUNS, folder, dataset, method) if folder else Path(own[n]) for n in outputs
        }
        moved: dict[str, Any] = {n: _moved(place[n], given) for n in outputs}
        out = run({**own, **moved, **words})
    sys.stdout.write(f"written: {out}\n")


def _moved(out: Path, given: Sequence[str]) -> str:
    """Return the stage's output under runs/; its name ends with what `given` changes."""
    changes = [word.partition("=") for word in given if word.partition("=")[0] not in CHOICES]
    named_by = [f"{key}={Path(value).name}" for key, _, value in changes if "." in key]
    name = ",".join([out.stem, *named_by]) + out.suffix
    return str(Path(RUNS, *out.parts[1:-1], name))


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
