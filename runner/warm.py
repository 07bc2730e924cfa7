"""Imports that the commands of stages share, done once in the process that stages are forked from.

A repository names them in pyproject.toml; without this key each command starts Python anew:

    [tool.runner]
    preload = ["stages", "package.module"]

They are imported in this order, then all modules of the packages among them. A command `python -m
PACKAGE.MODULE ...` of such a package runs in a fork of that process; any other in a shell, as in
`dvc repro`. What is imported must not start threads or use a GPU. A fork has the environment of a
new process, with variables that the imports set where they were not set. If a file was edited since
it was imported, commands start Python anew.
"""

import gc
import os
import pkgutil
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from runner.console import echo

_State = tuple[int, int, int]  # time of the last change in nanoseconds, size in bytes, inode
_CLOCK = 20_000_000  # nanoseconds by which the times of files may be behind the clock


@dataclass(frozen=True)
class Preload:
    """What was imported before stages are forked.

    Attributes
    ----------
    root
        Working directory during the import.
    path
        `sys.path` of a new process of `python -m` there.
    packages
        Packages whose modules run in forks.
    variables
        Environment variables that the imports set.
    files
        State of each imported source file outside of Python's own folders, by path.
    """

    root: Path
    path: tuple[str, ...]
    packages: frozenset[str]
    variables: Mapping[str, str]
    files: Mapping[str, _State | None]

    def is_current(self) -> bool:
        """Return whether no imported file was changed or removed since."""
        return all(_state(file) == state for file, state in self.files.items())


loaded: Preload | None = None  # in the fork server, and in the stages that are forked from it


def fill(names: Sequence[str]) -> None:
    """Import modules, and record them in `loaded`; print a message if one cannot be imported.

    Parameters
    ----------
    names
        Modules and packages, in the order of their import.
    """
    global loaded  # noqa: PLW0603 - forks find it there
    before, started = dict(os.environ), time.time_ns() - _CLOCK
    remedy = "commands of stages start Python anew, which takes longer"
    try:
        packages = _import(names)
    except Exception as error:  # noqa: BLE001 - any error of the modules
        echo(f"preload: {type(error).__name__}: {error}; {remedy}")
        return
    finally:
        variables = {k: v for k, v in os.environ.items() if before.get(k) != v}
        os.environ.clear()
        os.environ.update(before)
    files = {file: _state(file) for file in _source_files()}
    edited = [file for file, state in files.items() if state is None or state[0] >= started]
    if edited:
        echo(f"preload: {edited[0]} was changed while it was imported; {remedy}")
        return
    root = Path.cwd()
    first = [] if sys.flags.safe_path else [str(root)]
    path = (*first, *(entry for entry in sys.path if entry not in {"", str(root)}))
    loaded = Preload(root, path, packages, variables, files)
    gc.collect()
    gc.freeze()  # or each fork copies the pages of these objects when it collects garbage


def _import(names: Sequence[str]) -> frozenset[str]:
    """Import modules, then the modules of the packages among them; return the packages' names."""
    modules = [import_module(name) for name in names]
    packages = {module.__name__: module.__path__ for module in modules if _is_package(module)}
    for package, path in packages.items():
        for info in pkgutil.iter_modules(path, f"{package}."):
            import_module(info.name)
    return frozenset(packages)


def _is_package(module: object) -> bool:
    """Return whether a module is a package."""
    return hasattr(module, "__path__")


def _source_files() -> set[str]:
    """Return the files of imported modules, without those of Python and of installed packages."""
    installed = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platlib", "purelib")]
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return {
        file
        for file in files
        if isinstance(file, str)
        and Path(file).is_absolute()  # torch makes modules of files that do not exist
        and not any(map(Path(file).is_relative_to, installed))
    }


def _state(file: str) -> _State | None:
    """Return what differs after a change of a file; None if there is none."""
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return status.st_ctime_ns, status.st_size, status.st_ino
