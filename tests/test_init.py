import subprocess
import sys

import pytest

import cell_synergy

EXPORTS = [
    "SIS",
    "analyze_synergy_patterns",
    "compute_sis",
    "compute_sis_all_models",
    "get_sis_ranking",
    "load_all_results",
    "print_sis_summary",
    "set_RESULTS",
]
HEAVY = ("torch", "dvc", "dvclive", "anndata", "scanpy", "sklearn", "matplotlib")


def _loaded(program):
    """Return the heavy modules that a fresh interpreter holds after the program."""
    show = f"\nimport sys; print(*(m for m in {HEAVY} if m in sys.modules))"
    command = [sys.executable, "-c", program + show]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_score_can_be_imported_from_the_top_without_heavy_modules():
    assert _loaded(f"from cell_synergy import {', '.join(EXPORTS)}") == []


def test_importing_the_package_imports_nothing_of_it():
    program = "import sys, cell_synergy; assert 'cell_synergy.sis' not in sys.modules"
    assert _loaded(program) == []


def test_modules_that_every_stage_needs_are_light():
    program = "from cell_synergy.core import config, device, files, pipeline, random"
    assert _loaded(f"{program}; from cell_synergy.commands import command") == []


def test_methods_are_listed_without_importing_any():
    program = "from cell_synergy import models; assert 'comm' in models.names()"
    assert _loaded(program) == []


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_are_those_of_their_modules(name):
    from cell_synergy import sis  # noqa: PLC0415 - the package itself is under test
    from cell_synergy.scoring import results  # noqa: PLC0415

    home = results if name == "load_all_results" else sis
    assert getattr(cell_synergy, name) is getattr(home, name)
    assert name in dir(cell_synergy)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'cell_synergy' has no attribute 'sis_score'"):
        _ = cell_synergy.sis_score
