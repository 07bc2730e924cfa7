"""Imports that most stages share, done once in the process from which the runner forks them.

Torch imports a third of its modules only when the first optimiser is constructed, so one is. The
numerical libraries are loaded with one thread where the environment sets no number, so that none
has started threads when the process forks; stages set the number that params.yaml has.
"""

import os
from importlib import import_module

_COUNTS = [f"{library}_NUM_THREADS" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")]
_MODULES = ("anndata", "pandas", "dvclive.live", "sklearn.linear_model", "timm")


def _import_shared() -> None:
    """Import the modules, and leave the environment as it was."""
    unset = [name for name in _COUNTS if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    try:
        torch = import_module("torch")
        torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
        for name in _MODULES:
            import_module(name)
    finally:
        for name in unset:
            del os.environ[name]


_import_shared()
