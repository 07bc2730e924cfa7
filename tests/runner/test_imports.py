"""The runner serves any DVC repository: it imports nothing of this one."""

import ast
import sys
from pathlib import Path

import pytest

MODULES = sorted((Path(__file__).parents[2] / "runner").glob("*.py"))
ALLOWED = sys.stdlib_module_names | {"dvc", "dvc_data", "tqdm", "runner"}


def imported(module):
    """Return the top-level packages that a module imports, inside of functions too."""
    packages = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            packages.add(str(node.module).partition(".")[0])
    return packages


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_the_runner_imports_dvc_and_the_standard_library_alone(module):
    assert imported(module) <= ALLOWED
