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
    "print_sis_summary",
    "set_RESULTS",
)


_HOMES = {
    **dict.fromkeys(_SIS, "cell_synergy.sis"),
    "load_all_results": "cell_synergy.scoring.results",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cell_synergy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
