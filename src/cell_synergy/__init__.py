"""Synergistic integration of frozen single-modality experts for spatial tissue data.

The functions of the Synergistic Information Score, `load_all_results`, and the linear probes as
scikit-learn estimators can be imported from here. They are loaded on first access, so that
importing the package runs no other code.
"""

from importlib import import_module

_MODULES = {
    "LogisticProbe": "cell_synergy.downstream.probes.estimators",
    "RidgeProbe": "cell_synergy.downstream.probes.estimators",
    "SIS": "cell_synergy.sis",
    "analyze_synergy_patterns": "cell_synergy.sis",
    "compute_sis": "cell_synergy.sis",
    "compute_sis_all_models": "cell_synergy.sis",
    "get_sis_ranking": "cell_synergy.sis",
    "load_all_results": "cell_synergy.scoring.results",
    "print_sis_summary": "cell_synergy.sis",
    "set_RESULTS": "cell_synergy.sis",
}  # of the public functions


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'cell_synergy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
