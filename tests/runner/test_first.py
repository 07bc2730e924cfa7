"""Stages with `meta: {first: true}` run before the rest is planned."""

import os
import shutil
import signal
from contextlib import chdir

import pytest
from dvc.repo import Repo

from tests.runner.conftest import finished, start

# As the study's stage `code`: the letters of each file without comments, in a folder of outputs.
STAGES = """
  code:
    cmd: >-
      echo code >> ran; BEFORE mkdir -p results/code;
      for name in a b; do sed 's/ *#.*//' source/$name > results/code/$name; done
    deps: [source]
    outs: [results/code]
    meta: {first: true}
  a: {cmd: echo a >> ran; cp results/code/a a, deps: [results/code/a], outs: [a]}
  b: {cmd: echo b >> ran; cp results/code/b b, deps: [results/code/b], outs: [b]}
  both: {cmd: echo both >> ran; cat a b > both, deps: [a, b], outs: [both]}
  apart: {cmd: echo apart >> ran; cat in > apart, deps: [in], outs: [apart]}
"""
WAIT = "echo $$ > pid; while [ ! -e go ]; do sleep 0.1; done;"


def make(empty, where, before=""):
    """Make a repository with commands that `code` runs at its start."""
    shutil.copytree(empty, where)
    (where / "dvc.yaml").write_text(f"stages:\n{STAGES.replace('BEFORE ', before)}")
    (where / "in").write_text("1\n")
    (where / "source").mkdir()
    for letter in "ab":
        (where / "source" / letter).write_text(f"{letter}\n")
    return where


@pytest.fixture
def fresh(empty, tmp_path):
    """Return a function that makes the repository."""
    return lambda before="", name="repository": make(empty, tmp_path / name, before)


@pytest.fixture(scope="module")
def computed_once(empty, tmp_path_factory):
    where = make(empty, tmp_path_factory.mktemp("computed") / "repository")
    code, _, err = finished(start(where, "runner.local"))
    assert code == 0, err
    assert ran(where) == ["a", "apart", "b", "both", "code"]
    return where


@pytest.fixture
def computed(computed_once, tmp_path):
    """A copy of the repository in which all has run."""
    return shutil.copytree(computed_once, tmp_path / "repository")


def ran(where):
    """Return the stages that ran since the last call."""
    log = where / "ran"
    names = sorted(log.read_text().split()) if log.exists() else []
    log.unlink(missing_ok=True)
    return names


def test_a_comment_runs_the_first_stage_alone(computed, call_main):
    (computed / "source/a").write_text("a  # a comment\n")
    code, _, err = call_main(computed, "runner.local")
    assert code == 0, err
    assert ran(computed) == ["code"]
    assert "1 stage done" in err
    assert "nothing to do" in err
    with chdir(computed), Repo() as repo:
        assert repo.status() == {}


def test_a_change_runs_its_users_alone(computed, call_main):
    (computed / "source/b").write_text("changed\n")
    code, _, err = call_main(computed, "runner.local")
    assert code == 0, err
    assert ran(computed) == ["b", "both", "code"]
    assert (computed / "both").read_text() == "a\nchanged\n"


@pytest.mark.slow
def test_the_lock_file_has_the_bytes_of_a_serial_run(computed, fresh, run):
    serial = fresh(name="serial")
    assert run(serial, "dvc", "repro")[0] == 0
    assert (computed / "dvc.lock").read_bytes() == (serial / "dvc.lock").read_bytes()


def test_dry_lists_the_first_stage_alone_and_changes_nothing(computed, call_main):
    (computed / "source/b").write_text("changed\n")
    before = (computed / "dvc.lock").read_bytes()
    code, out, err = call_main(computed, "runner.local", "--dry")
    assert (code, out) == (0, "code\n"), err
    assert err.endswith("depends on what this gives: `python -m runner.local code`\n")
    assert ran(computed) == []
    assert (computed / "dvc.lock").read_bytes() == before
    assert call_main(computed, "runner.local", "code")[0] == 0
    assert ran(computed) == ["code"]
    assert call_main(computed, "runner.local", "--dry")[1] == "b\nboth after b\n"
    assert ran(computed) == []


def test_targets_that_read_nothing_of_it_do_not_run_it(computed, call_main):
    (computed / "source/b").write_text("changed\n")
    assert call_main(computed, "runner.local", "--dry", "apart")[1] == ""
    assert call_main(computed, "runner.local", "apart")[0] == 0
    assert ran(computed) == []
    assert call_main(computed, "runner.local", "b")[0] == 0
    assert ran(computed) == ["b", "code"]


def test_a_failing_first_stage_is_reported_and_nothing_else_runs(fresh, call_main):
    where = fresh("seq 3; exit 7;")
    code, out, err = call_main(where, "runner.local")
    assert (code, out) == (1, "")
    assert "code: exit code 7; the end of .dvc/tmp/logs/code.log:" in err
    assert "    3\n" in err
    assert err.endswith("error: nothing else can be planned until that is done\n")
    assert "Traceback" not in err
    assert ran(where) == ["code"]


@pytest.mark.slow
@pytest.mark.parametrize("group", [True, False])
def test_an_interrupted_first_stage_runs_again(fresh, run, begin, eventually, group):
    where = fresh(WAIT)
    process = begin(where, "runner.local")
    assert eventually(lambda: (where / "pid").exists() and (where / "pid").read_text())
    if group:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    else:
        process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not (where / "results").exists()
    (where / "go").touch()
    assert run(where, "runner.local")[0] == 0
    assert ran(where) == ["a", "apart", "b", "both", "code", "code"]


@pytest.mark.slow
def test_a_killed_first_stage_runs_again(fresh, run, begin, eventually):
    where = fresh(WAIT)
    process = begin(where, "runner.local")
    pid = where / "pid"
    assert eventually(lambda: pid.exists() and pid.read_text())
    os.kill(int(pid.read_text()), signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "failed: code\n" in err
    (where / "go").touch()
    assert run(where, "runner.local")[0] == 0
    assert ran(where) == ["a", "apart", "b", "both", "code", "code"]


@pytest.mark.slow
def test_producers_of_a_first_stage_run_with_it(repository, run):
    where = repository(
        "  made: {cmd: echo made >> ran; cat in > made, deps: [in], outs: [made]}\n"
        "  code: {cmd: echo code >> ran; wc -l < made > code, deps: [made], outs: [code],"
        " meta: {first: true}}\n"
        "  user: {cmd: echo user >> ran; cat code > user, deps: [code], outs: [user]}\n"
    )
    assert run(where, "runner.local")[0] == 0
    assert ran(where) == ["code", "made", "user"]
    (where / "in").write_text("2\n")
    code, out, err = run(where, "runner.local", "--dry")
    assert (code, out) == (0, "made\ncode after made\n"), err
    assert "`python -m runner.local made code`" in err
    assert run(where, "runner.local")[0] == 0
    assert ran(where) == ["code", "made"]


MEANWHILE = f"""
  code: {{cmd: echo code >> ran; sed 's/ *#.*//' source > code, deps: [source], outs: [code],
    meta: {{first: true}}}}
  slow: {{cmd: "echo slow >> ran; {WAIT} cat in > slow", deps: [in], outs: [slow]}}
  user: {{cmd: echo user >> ran; cat source slow > user, deps: [code, slow], outs: [user]}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("text", ["changed\n", "first  # a comment\n"])
def test_code_that_changes_during_the_run_is_recorded_before_a_stage_runs_it(
    repository, run, begin, eventually, text
):
    where = repository(MEANWHILE)
    (where / "source").write_text("first\n")
    process = begin(where, "runner.local")
    pid = where / "pid"
    assert eventually(lambda: pid.exists() and pid.read_text())
    (where / "source").write_text(text)
    (where / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "planning anew" in err
    assert (where / "user").read_text() == f"{text}1\n"
    assert ran(where) == ["code", "code", "slow", "user"]
    (where / "source").write_text("first\n")
    assert run(where, "runner.local")[0] == 0
    changed = "#" not in text
    assert ran(where) == (["user"] if changed else [])  # DVC has kept what `code` gave
    assert (where / "user").read_text() == ("first\n1\n" if changed else f"{text}1\n")


def test_another_meta_is_none_of_the_runners_business(repository, call_main):
    where = repository("  a: {cmd: cat in > a, deps: [in], outs: [a], meta: words}\n")
    code, out, err = call_main(where, "runner.local", "--dry")
    assert (code, out) == (0, "a\n"), err
