"""Synergistic integration of frozen single-modality experts for spatial tissue data.

The public functions of the Synergistic Information Score can be imported from here; nothing else
runs on import.
"""

from importlib import import_module

_SIS = (
    "SIS",
    "analyze_synergy_patterns",
    "compute_sis",
    "compute_sis_all_models",
    "get_sis_ranking",
    "load_all_results",
    "print_sis_summary",
    "set_RESULTS",
)


def __getattr__(name: str) -> object:
    if name in _SIS:
        return getattr(import_module("cell_synergy.sis"), name)
    raise AttributeError(f"module 'cell_synergy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SIS])
