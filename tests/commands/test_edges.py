"""Only stages, public commands, notebooks and examples read params.yaml; the library does not."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src/cell_synergy"
READERS = {
    "cell_synergy.core.config": {"load", "read_param", "read_params", "read_section"},
    "cell_synergy.core.pipeline": {"paths"},
}
EDGES = {
    "downstream/run_benchmarks.py", "downstream/spatial/__main__.py", "finetuning/run_alignment.py",
    "finetuning/run_expert.py", "scoring/results.py", "studies/check_params.py",
}  # fmt: skip


def readers(tree):
    """Return what a file imports that reads params.yaml or dvc.yaml."""
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in READERS.get(node.module or "", ())
    }


@pytest.mark.parametrize("folder", sorted({p.parent for p in SRC.rglob("*.py")} - {SRC / "core"}))
def test_the_library_takes_parameters_as_arguments(folder):
    for path in folder.glob("*.py"):
        name = str(path.relative_to(SRC))
        if name not in EDGES and not name.startswith("commands/"):
            assert not readers(ast.parse(path.read_text())), name


@pytest.mark.parametrize("name", sorted(EDGES))
def test_every_listed_edge_reads_parameters(name):
    assert readers(ast.parse((SRC / name).read_text()))
