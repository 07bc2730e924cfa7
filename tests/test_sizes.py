"""Sizes of the source: a file is at most 300 lines long, a function at most 60."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "examples", "notebooks", "runner", "slurm", "src", "stages", "tests")
FILE, FUNCTION = 300, 60


def overlong(path, text):
    """Yield the file, and each of its functions, that has too many lines."""
    if (count := len(text.splitlines())) > FILE:
        yield f"{path}: {count} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > FUNCTION:
                yield f"{path}: {node.name}: {lines} lines"


def test_no_file_and_no_function_is_too_long():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *FOLDERS], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git repository")
    files = [ROOT / name for name in listed.stdout.splitlines() if name.endswith(".py")]
    texts = {path.relative_to(ROOT): path.read_text("utf-8") for path in files if path.is_file()}
    assert len(texts) > 400
    assert not [line for path, text in texts.items() for line in overlong(path, text)]


def test_what_is_too_long_is_seen():
    body = "    x = 1\n"
    assert list(overlong("f.py", "x = 1\n" * FILE)) == []
    assert list(overlong("f.py", "x = 1\n" * (FILE + 1))) == ["f.py: 301 lines"]
    assert list(overlong("f.py", "def f():\n" + body * FUNCTION)) == ["f.py: f: 61 lines"]
    assert list(overlong("f.py", "def f():\n" + body * (FUNCTION - 1))) == []
