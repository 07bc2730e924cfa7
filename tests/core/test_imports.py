"""Imports that are read from the code, and those that are refused."""

from pathlib import Path

import pytest

from cell_synergy.core.errors import DataError
from stages import code
from tests.core.toy_tree import build, made, names, write


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch):
    """A repository, in which `fit` loads one model."""
    build(tmp_path)
    monkeypatch.setattr(code, "PER_MODULE", {"fit": "pkg.models"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


CALLS = {
    'import_module("pkg.scores")': {"scores"},
    'import_module("pkg.models.a")': {"a", "b"},
    'import_module("pkg." + "models." + name)': {"a", "b"},
    'import_module(name=f"pkg.models.{name}")': {"a", "b"},
    'import_module(f".models.{name}", "pkg")': None,
    'importlib.import_module(f"pkg.models.{name}")': {"a", "b"},
    'load(f"pkg.models.{name}")': {"a", "b"},
    '__import__("pkg.scores")': {"scores"},
    'import_module(f"json.{name}")': set(),
    "import_module(name)": None,
    'import_module(f"pkg.{name}.a")': None,
    'import_module(f"pkg.models{name}")': None,
    "import_module()": None,
    "list(map(import_module, name))": None,
    'exec("import pkg.models.a")': None,
    'runpy.run_module("pkg.models.a")': None,
    'builtins.exec("import pkg.models.a")': None,
    'subprocess.run([sys.executable, "-m", "pkg.models.a"])': None,
    "importlib.util.spec_from_file_location(name)": None,
    "network.eval()": set(),
}


@pytest.mark.parametrize("call", CALLS)
def test_an_import_by_name_is_read_from_the_code_or_refused(tree, call):
    write(
        tree, "stages/plain.py",
        "import builtins, importlib, subprocess, sys\n"
        "from importlib import import_module, import_module as load\n"
        f"def f(name, network):\n    from json import load\n    return {call}\n",
    )  # fmt: skip
    if CALLS[call] is None:
        with pytest.raises(DataError, match=r"stages/plain\.py, line 5: .*write import_module\(f"):
            made()
    else:
        found = {Path(name).stem for name in names(made()["plain"])}
        assert found & {"a", "b", "scores"} == CALLS[call]


def test_a_relative_import_by_name_is_read(tree):
    text = 'from importlib import import_module\nimport_module(f".{name}", __package__)\n'
    write(tree, "src/pkg/models/_base.py", text)
    assert "src/pkg/models/b.py" in names(made()["every"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n", r"stages/plain\.py, line 1: not valid Python \(.*\); correct it"),
        ("\nimport pkg.utli\n", r"plain\.py, line 2: there is no module pkg\.utli; correct it"),
        ("from pkg.space import tols\n", r"line 1: there is no module pkg\.space\.tols"),
        ("from pkg import *\n", "line 1: import names from pkg instead of"),
        ("from ... import x\n", "line 1: .* leads out of all packages"),
        ("import tests.tools\n", "line 1: tests lies outside of src and stages; move it there"),
        ("import tools.deep.er\n", "line 1: tools lies outside of src and stages; move it there"),
        ("\nprint(__file__)\n", "line 2: __file__ leads to files beside the code, .* under deps"),
        ("import pkg\nprint(pkg.__file__)\n", r"line 2: pkg\.__file__ leads to files beside"),
        ("from importlib.resources import files as f\nf('pkg')\n", "line 2: .* leads to files"),
        ("from pkg.util import check\nprint(check.__doc__)\n", "line 2: __doc__ reads docstrings"),
    ],
)
def test_imports_that_cannot_be_resolved_are_one_sentence(tree, text, message):
    write(tree, "tests/tools.py", "")
    write(tree, "tools/deep/er.py", "")
    write(tree, "stages/plain.py", text)
    with pytest.raises(DataError, match=message) as caught:
        made()
    assert "\n" not in str(caught.value)
