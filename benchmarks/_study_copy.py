"""The study's own stages in a scratch copy of the repository, with other parameters."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML

from cell_synergy.core.errors import DataError

# What the stages and the local runner read; the working directory is the root of the repository.
FILES = "dvc.yaml", "params.yaml", "pyproject.toml", ".dvcignore"
FOLDERS = "licensed", "notebooks", "runner", "src", "stages"
INHERITED = ("DVC_NO_ANALYTICS",)  # other variables of DVC describe the stage that runs this


@contextmanager
def study_copy(changes: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a copy of the study's code and parameters, removed afterwards; nothing has run in it.

    It shares the cache of this repository, so that stages whose inputs are the same are not run
    again, and an interrupted run continues.

    Parameters
    ----------
    changes
        New values of parameters by their dotted keys, as in `{"align.axes": "none"}`.

    Raises
    ------
    DataError
        If a key is not in params.yaml, or DVC cannot be set up in the copy.
    """
    with TemporaryDirectory(prefix="study-") as scratch:
        root = Path(scratch)
        for name in FOLDERS:
            shutil.copytree(name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy(name, root / name)
        change_params(root / "params.yaml", changes)
        cache = _dvc(["cache", "dir"], Path.cwd()).strip()
        _dvc(["init", "--no-scm", "--quiet"], root)
        shutil.copy(".dvcignore", root / ".dvcignore")
        _dvc(["config", "cache.dir", cache], root)
        yield root


def change_params(path: Path, changes: Mapping[str, Any]) -> None:
    """Replace values in a file of parameters.

    Parameters
    ----------
    path
        A file like params.yaml.
    changes
        New values by dotted keys; every key must be in the file.

    Raises
    ------
    DataError
        If a key is not in the file.
    """
    yaml = YAML()
    params = yaml.load(path.read_text("utf-8"))
    for dotted, value in changes.items():
        *parents, key = dotted.split(".")
        section = params
        for name in parents:
            section = section.get(name, {}) if isinstance(section, dict) else {}
        if not isinstance(section, dict) or key not in section:
            raise DataError(f"{path.name} has no {dotted!r}, which is to be changed; correct it")
        section[key] = value
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(params, file)


def run_stages(root: Path, stages: Sequence[str]) -> None:
    """Run stages of a copy, and all that they depend on, with the runner of the study.

    Parameters
    ----------
    root
        Root of the copy.
    stages
        Names of stages; `align` means all its instances.

    Raises
    ------
    DataError
        If a stage fails; the runner prints the end of its log.
    """
    words = ["python", "-m", "runner.local", *stages]
    done = _run(words, root, capture=False)
    if done.returncode:
        raise DataError(
            f"{' '.join(stages)}: a stage of the copied study failed; the log above says why"
        )


def _environment(root: Path) -> dict[str, str]:
    """Return the variables of the copy's processes, which import its own code."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DVC") or name in INHERITED
    }
    return inherited | {"PYTHONPATH": str(root / "src")}


def _dvc(words: Sequence[str], folder: Path) -> str:
    """Return what a command of DVC prints."""
    done = _run(["python", "-m", "dvc", *words], folder, capture=True)
    if done.returncode:
        raise DataError(f"dvc {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _run(
    words: Sequence[str], folder: Path, *, capture: bool
) -> "subprocess.CompletedProcess[str]":
    """Run a command in the copy; `python` is that of the stage's own command."""
    environment = _environment(folder)
    return subprocess.run(  # noqa: S603 - fixed commands
        words, cwd=folder, env=environment, check=False, capture_output=capture, text=True
    )
