"""Representations of a pair, one per file: the file's name is the method's name everywhere.

A method learns from two standardised embeddings of the same observations and returns one joint
embedding `z3`. The single experts and the controls are methods like any other. `load` and `names`
may be called from outside; what a method has to do stands in `cell_synergy.training.method`.
"""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from cell_synergy.core.config import suggest, validate
from cell_synergy.core.errors import ConfigError
from cell_synergy.training.method import Method


def names() -> list[str]:
    """Return the name of every method."""
    return [module.name for module in iter_modules(__path__)]


def load(name: str, hyperparameters: Mapping[str, object]) -> Method:
    """Import `name`'s file alone, so that no method's result depends on another method's code."""
    if name not in names():
        raise ConfigError(f"no method {name!r}{suggest(name, names())}")
    method: type[Method] = import_module(f"{__name__}.{name}").Model
    return validate(method, hyperparameters, f"models.{name}")
