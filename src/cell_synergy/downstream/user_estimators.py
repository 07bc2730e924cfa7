"""Estimators that a user's command line names: `sklearn.ensemble:RandomForestClassifier`."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from cell_synergy.core.errors import DataError
from cell_synergy.core.messages import suggest


def load_estimators(names: Sequence[str]) -> dict[str, Any]:
    """Return estimators by the name behind the colon, which is that of the probe in score tables.

    Parameters
    ----------
    names
        Texts `package.module:Name`, of an estimator, or of its class, which is called without
        arguments. The module is one of an installed package or of the working directory.

    Raises
    ------
    DataError
        If a text has another form, there is no such module or name, a module or class raises an
        error, or two estimators have one name.
    """
    estimators: dict[str, Any] = {}
    for text in names:
        module, _, name = text.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), name)):
            raise DataError(f"estimator={text}: write package.module:Name")
        if name in estimators:
            raise DataError(f"estimator={text}: another estimator is called {name}; rename one")
        estimators[name] = _load(text, module, name)
    return estimators


def _load(text: str, module: str, name: str) -> Any:  # noqa: ANN401 - scikit-learn has no types
    """Return one estimator."""
    try:
        loaded = import_module(module)
    except ImportError as error:
        raise DataError(
            f"estimator={text}: {error}; install the package, or put the file into this folder"
        ) from error
    except (Exception, SystemExit) as error:
        raise DataError(f"estimator={text}: {_one_line(error)}; correct {module}") from error
    value = getattr(loaded, name, None)
    if value is None:
        valid = [key for key, member in vars(loaded).items() if hasattr(member, "fit")]
        raise DataError(f"estimator={text}: no {name!r} in {module}{suggest(name, valid)}")
    if not isinstance(value, type):
        return value
    try:
        return value()
    except (Exception, SystemExit) as error:
        raise DataError(
            f"estimator={text}: {_one_line(error)}; name an object of the class, in a file of your "
            "own"
        ) from error


def _one_line(error: BaseException) -> str:
    """Return type and text of an error of code that is not ours."""
    return " ".join(f"{type(error).__name__}: {error}".split())
