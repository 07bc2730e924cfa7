"""Which code a stage runs, over a repository of a few lines: what changes its hash and what not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cell_synergy.core.code import SourceTree, listed
from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.studies import check_params
from stages import code
from tests.core.toy_tree import build, changed, edit, made, names, write

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch):
    """A repository, in which `fit` loads one model."""
    build(tmp_path)
    monkeypatch.setattr(code, "PER_MODULE", {"fit": "pkg.models"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_stage_has_a_file_and_fit_one_per_model():
    found = made()
    assert set(found) == {"every", "figures/draw", "fit/a", "fit/b", "lazy", "plain"}
    package = ["src/pkg/__init__.py", "src/pkg/models/__init__.py"]
    a = [package[0], "src/pkg/models/__init__.py", "src/pkg/models/_base.py", "src/pkg/models/a.py"]
    b = ["src/pkg/empty/deep.py", "src/pkg/models/__init__.py", "src/pkg/models/b.py"]
    assert names(found["fit/a"]) == [*a, "stages/fit.py"]
    assert names(found["fit/b"]) == [package[0], *b, "src/pkg/util.py", "stages/fit.py"]
    assert names(found["every"]) == sorted({*a, *b, "src/pkg/util.py", "stages/every.py"})
    assert names(found["plain"]) == [package[0], "src/pkg/util.py", "stages/plain.py"]


def test_an_attribute_made_by_getattr_brings_the_modules_that_may_have_it(tree):
    homes = ["src/pkg/__init__.py", "src/pkg/scores.py", "src/pkg/space/tools.py"]
    assert names(made()["lazy"]) == [*homes, "stages/lazy.py"]
    write(tree, "stages/lazy.py", "import pkg\nprint(pkg.own)\n")
    assert names(made()["lazy"]) == [homes[0], "stages/lazy.py"]
    write(tree, "stages/lazy.py", "import pkg as p\ndef f():\n    return p.score\n")
    assert names(made()["lazy"]) == [*homes, "stages/lazy.py"]


@pytest.mark.parametrize(
    "text",
    [
        "import pkg\nprint(getattr(pkg, 'score'))\n",
        "import pkg\nalias = pkg\nprint(alias.score)\n",
        "def f():\n    import pkg as p\n    return p.score\ndef g():\n    import json as p\n",
    ],
)
def test_no_way_to_write_it_hides_an_attribute_made_by_getattr(tree, text):
    write(tree, "stages/lazy.py", text)
    assert "src/pkg/scores.py" in names(made()["lazy"])


def test_a_module_that_getattr_imports_as_an_attribute_counts(tree):
    write(
        tree, "src/pkg/space/__init__.py",
        "from importlib import import_module\ndef __getattr__(name):\n"
        "    return import_module(f'.{name}', __package__)\n",
    )  # fmt: skip
    write(tree, "stages/plain.py", "import pkg.space as s\nprint(s.tools.local)\n")
    assert "src/pkg/space/tools.py" in names(made()["plain"])


def test_a_model_that_loads_others_by_name_depends_on_all_and_no_other_does(tree):
    write(tree, "src/pkg/ensemble.py", "from pkg.models import load\n")
    text = (tree / "src/pkg/models/a.py").read_text()
    for use in (
        "from pkg import models\nprint(models.load('b'))\n",
        "import pkg.ensemble\n",
        "from importlib import import_module\nprint(import_module(f'pkg.models.{__name__[0]}'))\n",
    ):
        write(tree, "src/pkg/models/a.py", f"{text}{use}")
        found = made()
        assert "src/pkg/models/b.py" in names(found["fit/a"])
        assert "src/pkg/models/a.py" not in names(found["fit/b"])


def test_the_text_of_a_notebook_counts_since_its_executed_copy_has_it(tree):
    before = made()
    assert names(before["figures/draw"]) == [
        "notebooks/draw.py", "src/pkg/__init__.py", "src/pkg/space/tools.py", "stages/figures.py",
    ]  # fmt: skip
    edit(tree, "notebooks/draw.py", "# Words.", "# Other words.")
    assert changed(before, made()) == {"figures/draw"}


def test_the_lock_of_an_editor_is_no_notebook(tree):
    before = made()
    (tree / "notebooks/.#draw.py").symlink_to("user@host")
    assert made() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# comment", "# other comment"),
        ('"""Docstring."""\nLIMIT', "LIMIT"),
        ('    """Docstring."""\n', '    """Other.\n\n    Longer.\n    """\n'),
        ("def check", "\n\n# comment\ndef check"),
        ('; " "take less"', '"'),
        ('f"{x} is more than {LIMIT}; " "take less"', 'f"{x!r}: {LIMIT:>{x}}" if x else "ü"'),
        ("LIMIT = 3", 'LIMIT = 3\n"""What the limit is for."""'),
    ],
)  # fmt: skip
def test_edits_that_cannot_change_a_result_keep_the_hashes(tree, old, new):
    before = made()
    edit(tree, "src/pkg/util.py", old, new)
    after = made()
    if "if x" in new:  # code around the text does count
        assert changed(before, after) == {"every", "fit/b", "plain"}
    else:
        assert after == before


@pytest.mark.parametrize(
    ("name", "old", "new", "stale"),
    [
        ("src/pkg/util.py", "LIMIT = 3", "LIMIT = 4", {"every", "fit/b", "plain"}),
        ("src/pkg/util.py", "    return", "    if x:\n        return", {"every", "fit/b", "plain"}),
        ("src/pkg/models/a.py", "width = 1", "width = 2", {"every", "fit/a"}),
        ("src/pkg/models/b.py", "fit", "learn", {"every", "fit/b"}),
        ("src/pkg/scores.py", "1", "2", {"lazy"}),
        ("stages/plain.py", "own)", "own, 1)", {"plain"}),
    ],
)  # fmt: skip
def test_a_change_reaches_its_users_and_nothing_else(tree, name, old, new, stale):
    before = made()
    edit(tree, name, old, new)
    assert changed(before, made()) == stale


def test_a_new_helper_appears_by_itself_and_also_where_a_function_imports_it(tree):
    before = made()
    write(tree, "src/pkg/helper.py", "X = 1\n")
    assert made() == before
    edit(tree, "src/pkg/models/a.py", "class", "from pkg import helper\nclass")
    after = made()
    assert changed(before, after) == {"every", "fit/a"}
    assert "src/pkg/helper.py" in names(after["fit/a"])
    inside = "class Model(Base):\n    def f(self):\n        from .. import helper\n"
    write(tree, "src/pkg/models/a.py", inside)
    assert "src/pkg/helper.py" in names(made()["fit/a"])


def test_a_new_model_gets_a_file_and_changes_what_loads_any(tree):
    before = made()
    write(tree, "src/pkg/models/c.py", "class Model:\n    pass\n")
    assert changed(before, made()) == {"every", "fit/c"}


def test_the_same_bytes_wherever_the_repository_is(tree, monkeypatch):
    before = made()
    assert made(tree) == before
    monkeypatch.chdir(tree.parent)
    assert made(Path(tree.name)) == before


def test_an_attribute_whose_home_cannot_be_read_is_refused(tree):
    write(tree, "src/pkg/__init__.py", "own = 1\ndef __getattr__(name):\n    return find(name)\n")
    with pytest.raises(DataError, match=r"pkg/__init__\.py: score comes from __getattr__"):
        made()


def test_a_stage_that_is_listed_and_loads_nothing_by_name_is_refused(monkeypatch):
    monkeypatch.setattr(code, "PER_MODULE", {"plain": "pkg.models"})
    with pytest.raises(ConfigError, match=r"stage plain loads no module of pkg\.models by name"):
        made()


def test_code_that_stages_would_not_run_is_refused(tree):
    shutil.copytree(ROOT / "src/cell_synergy", tree / "src/cell_synergy")
    before = made()
    write(tree, "src/cell_synergy/core/helper.py", "x = 1\n")
    with pytest.raises(
        ConfigError, match=r"^stages would run .* differs .*; set PYTHONPATH=.*src,"
    ):
        made()
    with pytest.raises(ConfigError, match="stages would run"):
        check_params.check()
    (tree / "src/cell_synergy/core/helper.py").unlink()
    assert made() == before


def test_the_stage_code_imports_neither_torch_nor_pandas():
    show = "import sys, stages.code; print(*{'torch', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert not done.stdout.strip()


def test_a_listing_names_files_from_the_root(tree):
    found = SourceTree(tree / "src", tree / "stages")
    lines = listed(found, found.files("pkg.models.b"))
    assert names(lines) == [
        "src/pkg/__init__.py", "src/pkg/models/__init__.py", "src/pkg/models/b.py",
    ]  # fmt: skip
