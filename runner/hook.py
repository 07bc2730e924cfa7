"""What a repository sets for the runner in pyproject.toml: a check, and what to import once.

    [tool.runner]
    check = "package.module:function"
    preload = ["package", "package.module"]    # see `runner.warm`

The check, of the repository's parameters, is called once before stages are planned. The function
takes no argument. To stop the command it raises a ValueError, whose message is shown
without a traceback; any other exception is an error of the function and keeps its traceback.
"""

import re
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException

_FILE = Path("pyproject.toml")
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def run_check() -> None:
    """Call the check that the pyproject.toml of the working directory names.

    Raises
    ------
    dvc.exceptions.DvcException
        If the check raises a ValueError, or cannot be imported as pyproject.toml names it.
    """
    name = _settings().get("check")
    if name is None:
        return
    check = _load(name)
    try:
        check()
    except ValueError as error:
        raise DvcException(str(error)) from error


def preload_names() -> list[str]:
    """Return the modules that the pyproject.toml of the working directory has imported once.

    Raises
    ------
    dvc.exceptions.DvcException
        If they are not a list of names.
    """
    names = _settings().get("preload", [])
    if isinstance(names, list) and all(isinstance(n, str) and _NAME.fullmatch(n) for n in names):
        return names
    raise DvcException(
        f"{_FILE}, [tool.runner]: preload = {names!r} is not a list of modules and packages, such "
        'as ["stages"]'
    )


def _settings() -> dict[str, Any]:
    """Return the table `[tool.runner]`; empty if there is none."""
    try:
        settings = tomllib.loads(_FILE.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DvcException(f"{_FILE} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DvcException(f"{_FILE} is not TOML: {error}") from error
    tools = settings.get("tool", {})
    table = tools.get("runner", {}) if isinstance(tools, dict) else {}
    if not isinstance(table, dict) or table.keys() - {"check", "preload"}:
        raise DvcException(
            f"{_FILE}: [tool.runner] may have `check` and `preload` alone, and has {table!r}"
        )
    return table


def _load(name: object) -> Callable[[], object]:
    """Import the function `module:function`."""
    setting = f"{_FILE}, [tool.runner]: check = {name!r}"
    module, colon, function = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not (module and colon and function):
        raise DvcException(f'{setting} is not of the form "module:function"')
    try:
        check = getattr(import_module(module), function)
    except SyntaxError as error:
        location = f"{error.filename}, line {error.lineno}: not valid Python ({error.msg})"
        raise DvcException(f"{location}; correct it, as {setting} imports it") from error
    except (ImportError, AttributeError) as error:
        raise DvcException(f"{setting} cannot be imported: {error}") from error
    if not callable(check):
        raise DvcException(f"{setting} is not a function")
    return check  # type: ignore[no-any-return]
