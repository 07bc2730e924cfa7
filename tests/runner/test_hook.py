"""The check that a repository names in pyproject.toml."""

import pytest
from dvc.exceptions import DvcException

from runner.hook import preload_names, run_check

CHECKS = """
import errno


class Refused(ValueError):
    pass


def accept():
    open("checked", "a").write("x")


def refuse():
    raise Refused("params.yaml: no 'com' (did you mean 'comm'?)")


def fail():
    raise OSError(errno.EIO, "a mistake in the check")


text = "no function"
"""


@pytest.fixture
def named(tmp_path, monkeypatch):
    """Return a function that names a check in pyproject.toml, beside a module of checks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = f"checks_{abs(hash(tmp_path))}"  # each test imports its own
    (tmp_path / f"{module}.py").write_text(CHECKS)

    def write(check):
        text = check.replace("MODULE", module)
        (tmp_path / "pyproject.toml").write_text(f"[tool.runner]\n{text}\n")
        return tmp_path

    return write


def test_without_a_table_nothing_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_check()
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    run_check()


def test_the_check_is_called_once(named):
    where = named('check = "MODULE:accept"')
    run_check()
    assert (where / "checked").read_text() == "x"


def test_a_refusal_is_its_message(named):
    named('check = "MODULE:refuse"')
    with pytest.raises(DvcException, match=r"^params\.yaml: no 'com'"):
        run_check()


def test_a_mistake_in_the_check_is_not_hidden(named):
    named('check = "MODULE:fail"')
    with pytest.raises(OSError, match="a mistake in the check"):
        run_check()


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ('check = "no_such_module:check"', "cannot be imported: No module named 'no_such_module'"),
        ('check = "MODULE:absent"', "cannot be imported: .* has no attribute 'absent'"),
        ('check = "MODULE:text"', "is not a function"),
        ('check = "MODULE"', 'is not of the form "module:function"'),
        ("check = 3", 'is not of the form "module:function"'),
    ],
)
def test_a_name_that_cannot_be_called_is_told_with_its_place(named, check, message):
    named(check)
    with pytest.raises(DvcException, match=rf"^pyproject\.toml, \[tool\.runner\]: .*{message}"):
        run_check()


@pytest.mark.parametrize(
    "text",
    ["tool = {runner = 3}", "[tool.runner]\nchek = 'a:b'", "[tool.runner]\ncheck = 'a:b'\nx = 1"],
)
def test_a_table_with_anything_else_is_told(named, text):
    (named("") / "pyproject.toml").write_text(text)
    with pytest.raises(
        DvcException,
        match=r"^pyproject\.toml: \[tool\.runner\] may have `check` and `preload` alone",
    ):
        run_check()


@pytest.mark.parametrize(
    ("text", "names"), [("", []), ('preload = ["a", "b_1.c"]', ["a", "b_1.c"])]
)
def test_the_modules_to_import_once_are_listed_in_order(named, text, names):
    named(text)
    assert preload_names() == names


@pytest.mark.parametrize("value", ['"stages"', "[1]", '["a b"]', '["stages/align.py"]', '[""]'])
def test_modules_to_import_once_that_are_no_names_are_told(named, value):
    named(f"preload = {value}")
    with pytest.raises(DvcException, match=r"^pyproject\.toml, \[tool\.runner\]: preload = .*list"):
        preload_names()


def test_a_folder_in_place_of_the_file_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").mkdir()
    with pytest.raises(DvcException, match=r"^pyproject\.toml cannot be read: Is a directory"):
        run_check()


def test_code_that_is_not_valid_is_told_with_its_line(named):
    where = named('check = "broken_check:check"')
    (where / "broken_check.py").write_text("\ndef f(:\n")
    with pytest.raises(
        DvcException, match=r"broken_check\.py, line 2: not valid Python \(.*correct"
    ):
        run_check()


def test_a_file_that_is_not_toml_is_told(named):
    named("check = ")
    with pytest.raises(DvcException, match=r"pyproject\.toml is not TOML"):
        run_check()


def test_a_refusal_comes_before_anything_runs(repository, run):
    where = repository("  a: {cmd: touch ran; cat in > a, deps: [in], outs: [a]}\n")
    (where / "checks.py").write_text(CHECKS)
    (where / "pyproject.toml").write_text('[tool.runner]\ncheck = "checks:refuse"\n')
    code, out, err = run(where, "runner.local")
    assert (code, out) == (1, "")
    assert err == "error: params.yaml: no 'com' (did you mean 'comm'?)\n"
    assert not (where / "ran").exists()
