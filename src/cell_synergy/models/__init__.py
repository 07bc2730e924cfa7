"""Representations of a pair, one per file: the file's name is the method's name everywhere.

A method is fitted on inputs from two experts for one set of observations and returns one joint
embedding `z3`. Single experts and controls are methods like any other. Other folders call `load`
and `names`; the contract of a method is `cell_synergy.training.method`.
"""

from collections.abc import Mapping
from importlib import import_module

from cell_synergy.core.config import validate
from cell_synergy.core.discovery import module_names
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.messages import suggest
from cell_synergy.training.method import Method


def names() -> list[str]:
    """Return the name of every method, sorted: the files of this folder but `_template.py`.

    docs/your-own-method.md describes how to add a method from that file.
    """
    return module_names(__path__)


def load(name: str, hyperparameters: Mapping[str, object]) -> Method:
    """Return a method with the given hyperparameters, not fitted.

    Only the file of this method is imported, so that results depend on the code of no other method.

    Parameters
    ----------
    name
        Name of the method, that of its file in this folder.
    hyperparameters
        Hyperparameters by name: the method's block of `models` in params.yaml.

    Raises
    ------
    ConfigError
        If there is no such method, its file has no class `Model` derived from `Method` or the class
        lacks a method, or a hyperparameter is missing, unknown or out of range.
    """
    if name not in names():
        raise ConfigError(f"no method {name!r}{suggest(name, names())}")
    return validate(_method_class(name), hyperparameters, f"models.{name}")


def _method_class(name: str) -> type[Method]:
    """Import the file of a method; return its class `Model`, unless that breaks the contract."""
    module = import_module(f"{__name__}.{name}")
    model = getattr(module, "Model", None)
    if not (isinstance(model, type) and issubclass(model, Method)):
        raise ConfigError(
            f"{module.__file__}: has no class Model that derives from Method; see "
            "docs/your-own-method.md"
        )
    if missing := sorted(model.__abstractmethods__):
        raise ConfigError(f"{module.__file__}: class Model lacks {', '.join(missing)}; define it")
    return model
