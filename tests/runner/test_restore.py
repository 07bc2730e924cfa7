import os
import shutil
from contextlib import chdir

import pytest
from dvc.repo import Repo

from runner.plan import make_plan
from runner.restore import restore

STAGES = """
  a: {cmd: echo a >> ran; cat in > a, deps: [in], outs: [a]}
  b: {cmd: echo b >> ran; cat a > b, deps: [a], outs: [b]}
  c: {cmd: echo c >> ran; cat in > c, deps: [in], outs: [c]}
"""


@pytest.fixture(scope="module")
def computed_once(empty, tmp_path_factory):
    """A repository whose stages have run for the inputs 1 and 2; `in` is 2."""
    where = tmp_path_factory.mktemp("computed") / "repository"
    shutil.copytree(empty, where)
    (where / "dvc.yaml").write_text(f"stages:\n{STAGES}")
    with chdir(where), Repo() as repo:
        for text in ("1\n", "2\n"):
            (where / "in").write_text(text)
            repo.reproduce()
    (where / "ran").unlink()
    return where


@pytest.fixture
def computed(computed_once, tmp_path, monkeypatch):
    """A copy of it, which is entered."""
    where = shutil.copytree(computed_once, tmp_path / "repository")
    monkeypatch.chdir(where)
    return where


def contents(where):
    return [(where / name).read_text() if (where / name).exists() else None for name in "abc"]


def test_results_of_former_inputs_come_back_and_nothing_runs(computed):
    lock = (computed / "dvc.lock").read_text()
    (computed / "in").write_text("1\n")
    assert restore(make_plan([])) == []
    assert contents(computed) == ["1\n", "1\n", "1\n"]
    assert (computed / "dvc.lock").read_text() != lock
    assert make_plan([]).steps == ()
    assert not (computed / "ran").exists()
    assert os.environ.get("SHELL") != "false"


def test_stages_that_the_cache_lacks_are_left_with_their_outputs(computed):
    (computed / "in").write_text("3\n")
    (computed / "a").unlink()
    (computed / "a").write_text("my own\n")
    left = restore(make_plan([]))
    assert [(step.name, step.after) for step in left] == [("a", ()), ("b", ("a",)), ("c", ())]
    assert contents(computed) == ["my own\n", "2\n", "2\n"]
    assert not (computed / "ran").exists()


def test_remaining_stages_wait_only_for_remaining_ones(computed):
    for entry in (computed / ".dvc/cache/runs").glob("*/*/*"):
        if "cat a > b" in entry.read_text():
            entry.unlink()
            entry.parent.rmdir()
    (computed / "dvc.lock").unlink()
    left = restore(make_plan([]))
    assert [(step.name, step.after, step.producers) for step in left] == [("b", (), ("a",))]


def test_an_entry_that_a_full_disk_cut_short_is_no_hindrance(computed):
    (computed / "dvc.lock").unlink()
    for entry in (computed / ".dvc/cache/runs").glob("*/*/*"):
        entry.unlink()
    assert len(restore(make_plan([]))) == 3
    assert not list((computed / ".dvc/cache/runs").glob("*/*"))
