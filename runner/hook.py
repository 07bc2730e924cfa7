"""Call a check of the repository's parameters, once, before stages are planned.

A repository names the check in pyproject.toml; without this table none is called:

    [tool.runner]
    check = "package.module:function"

The function takes no argument. To stop the command it raises a ValueError, whose message is shown
without a traceback; any other exception is an error of the function and keeps its traceback.
"""

import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException

_FILE = Path("pyproject.toml")


def run_check() -> None:
    """Call the check that the pyproject.toml of the working directory names.

    Raises
    ------
    dvc.exceptions.DvcException
        If the check raises a ValueError, or cannot be imported as pyproject.toml names it.
    """
    name = _name_of_check()
    if name is None:
        return
    check = _load(name)
    try:
        check()
    except ValueError as error:
        raise DvcException(str(error)) from error


def _name_of_check() -> Any:  # noqa: ANN401 - whatever the file holds
    """Return the value of `check` in the table `[tool.runner]`; None if there is none."""
    try:
        settings = tomllib.loads(_FILE.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DvcException(f"{_FILE} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DvcException(f"{_FILE} is not TOML: {error}") from error
    tools = settings.get("tool", {})
    table = tools.get("runner", {}) if isinstance(tools, dict) else {}
    if not isinstance(table, dict) or table.keys() - {"check"}:
        raise DvcException(f"{_FILE}: [tool.runner] may have `check` alone, and has {table!r}")
    return table.get("check")


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
