"""What `make` refuses before it makes anything, and what it says of the minutes in between."""

import shlex
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SILENT = "exit 0"


@pytest.fixture
def clone(tmp_path):
    """Return a folder like a fresh clone, as far as make reads it."""
    folder = tmp_path / "my clone"
    (folder / ".ci").mkdir(parents=True)
    (folder / ".git").mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock", ".ci/check"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def python(path, version="3.12", **answers):
    """Write a script that answers like a Python of some version, and makes no environment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    asked = {"version_info": f"echo {version}", "maxsize": SILENT, "ensurepip": SILENT,
             "import pip": SILENT, "-m venv": SILENT, "-m pip": SILENT, **answers}  # fmt: skip
    cases = "\n".join(f'  *"{part}"*) {answer};;' for part, answer in asked.items())
    path.write_text(f'#!/bin/sh\necho "$*" >> "{path}.log"\ncase "$*" in\n{cases}\nesac\n')
    path.chmod(0o755)
    return path


def make(folder, *words, **variables):
    given = [f"{name}={word}" for name, word in variables.items()]
    return subprocess.run(
        ["make", *(words or ["install"]), *given], cwd=folder, capture_output=True, text=True,
        check=False, env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )  # fmt: skip


def refused(done, folder):
    """Return the sentence of a refusal, after which there is no environment."""
    assert done.returncode
    assert "Traceback" not in done.stderr
    assert not (folder / ".venv").exists()
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize("target", ["repro", "test", "install", "cluster"])
def test_an_archive_without_git_is_refused_before_anything_is_installed(clone, target):
    (clone / ".git").rmdir()
    said = refused(make(clone, target, PYTHON="python3"), clone)
    assert "no git repository" in said
    assert "`git init` here, or better `git clone`" in said


@pytest.mark.parametrize("version", ["3.10", "3.8", "2.7", "3.9"])
def test_an_old_python_is_refused_with_the_version_that_is_needed(clone, tmp_path, version):
    old = python(tmp_path / "old", version)
    said = refused(make(clone, PYTHON=old), clone)
    assert f"{old} is Python {version}, and 3.11 or newer is needed: install it, or name" in said
    assert "-m venv" not in Path(f"{old}.log").read_text()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.100", "4.0"])
def test_a_new_python_makes_the_environment_and_says_what_it_takes(clone, tmp_path, version):
    new = python(tmp_path / "new", version)
    body = f"mkdir -p .venv/bin; cp {new} .venv/bin/python"
    python(new, version, **{"-m venv": body})
    done = make(clone, PYTHON=new)
    assert done.returncode == 0, done.stderr
    assert "some 3 GB are fetched and 7 GB written; pip is silent for two to five" in done.stderr
    assert "-m venv .venv" in Path(f"{new}.log").read_text()
    assert make(clone, PYTHON="/nowhere").returncode == 0


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"version_info": "exit 1"}, "cannot be run; Python 3.11 or newer is needed"),
        ({"version_info": SILENT}, "cannot be run; Python 3.11 or newer is needed"),
        ({"maxsize": "exit 1"}, "is a 32-bit Python, for which PyTorch is not made"),
        ({"ensurepip": "exit 1"}, "install its module venv (Debian: apt install python3.12-venv)"),
    ],
)
def test_a_python_that_cannot_do_it_is_refused(clone, tmp_path, answers, said):
    assert said in refused(make(clone, PYTHON=python(tmp_path / "p", **answers)), clone)


def test_no_python_at_all_is_refused(clone):
    assert "nowhere/python cannot be run" in refused(make(clone, PYTHON="/nowhere/python"), clone)


def test_an_environment_that_could_not_be_made_is_not_left_behind(clone, tmp_path):
    broken = python(tmp_path / "p", **{"-m venv": "mkdir .venv; exit 1"})
    assert make(clone, PYTHON=broken).returncode
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize(
    ("version", "answers", "said"),
    [
        ("3.9", {}, ".venv has Python 3.9, and 3.11 or newer is needed; remove it (rm -rf .venv)"),
        ("", {"version_info": "exit 127"}, "the Python of .venv cannot be run any more; remove it"),
        ("3.12", {"import pip": "exit 1"}, ".venv has no pip; remove it (rm -rf .venv)"),
    ],
)
@pytest.mark.parametrize("stamped", [False, True])
def test_an_environment_of_a_wrong_python_is_told(clone, version, answers, said, stamped):
    if stamped:
        python(clone / ".venv/bin/python")
        assert make(clone).returncode == 0
    python(clone / ".venv/bin/python", version, **answers)
    done = make(clone, PYTHON=sys.executable)
    assert done.returncode
    assert said in done.stderr


def test_an_environment_whose_python_is_gone_is_told(clone):
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to("/nowhere/python3.11")
    done = make(clone, PYTHON=sys.executable)
    assert done.returncode
    assert "the Python of .venv cannot be run any more" in done.stderr


def test_a_folder_of_something_else_is_no_place_for_an_environment(clone):
    (clone / "mine").mkdir()
    (clone / "mine/thesis.txt").write_text("years")
    said = refused(make(clone, PYTHON=sys.executable, VENV="mine"), clone)
    assert "mine is there and no environment of Python; name another folder" in said
    assert [path.name for path in (clone / "mine").iterdir()] == ["thesis.txt"]


def test_windows_is_told_what_to_do(clone):
    assert "on Windows work inside WSL" in refused(make(clone, OS="Windows_NT"), clone)


def test_the_lock_names_the_tool_that_it_lacks(clone):
    python(clone / ".venv/bin/python")
    done = make(clone, "lock")
    assert done.returncode
    assert "make lock needs uv: .venv/bin/python -m pip install uv" in done.stderr


SHAPES = "--jaxtyping-packages=cell_synergy,beartype.beartype "


@pytest.mark.parametrize(
    ("target", "marks"),
    [("test", ["not slow"]), ("test-slow", ["slow"]), ("test-all", ["not slow", "slow"])],
)
def test_signatures_are_checked_in_tests_on_request_only(clone, target, marks):
    for words, option in (((), ""), (("SHAPES=1",), SHAPES)):
        done = make(clone, "--dry-run", "-o", "install", "-o", "lint", target, *words)
        expected = [f"python -m pytest {option}-m {shlex.quote(mark)}" for mark in marks]
        assert done.stdout.replace('"', "'").splitlines() == expected, done.stderr


def test_ci_runs_every_test_once_and_checks_signatures(tmp_path):
    recorder = tmp_path / "make"
    recorder.write_text(f'#!/bin/sh\necho "$*" >> "{tmp_path}/calls"\n')
    recorder.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["bash", ROOT / ".ci/run"], check=True, env=environment)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["test SHAPES=1", "test-slow SHAPES=1"]


def test_text_has_the_same_bytes_in_every_clone(tmp_path):
    done = subprocess.run(
        ["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = [line for line in done.stdout.splitlines() if "dvcstore/" not in line]
    assert lines
    assert not [line for line in lines if "i/crlf" in line or "i/mixed" in line]
    names = tmp_path / "names"
    names.write_text("src/a.py\ndvc.lock\nMakefile\nx.csv\ndvcstore/files/md5/00/a\na.npz\na.png\n")
    done = subprocess.run(
        ["git", "check-attr", "--stdin", "eol", "text"], cwd=ROOT, capture_output=True, text=True,
        check=True, stdin=names.open(),
    )  # fmt: skip
    said = {tuple(line.split(": ")[:2]): line.split(": ")[2] for line in done.stdout.splitlines()}
    for name in ("src/a.py", "dvc.lock", "Makefile", "x.csv"):
        assert said[name, "eol"] == "lf"
    for name in ("dvcstore/files/md5/00/a", "a.npz", "a.png"):
        assert said[name, "text"] == "unset"


def test_the_locked_packages_allow_the_oldest_python_of_the_project():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = {canonicalize_name(Requirement(line).name) for line in lines if line[:1].isalpha()}
    installed = {canonicalize_name(each.name): each for each in distributions()}
    assert locked <= set(installed)
    needed = {name: installed[name].metadata["Requires-Python"] or "" for name in locked}
    oldest = "3.11.0"
    assert not {k: v for k, v in needed.items() if not SpecifierSet(v).contains(oldest)}
    assert f"--python-version {oldest} " in (ROOT / "Makefile").read_text()
