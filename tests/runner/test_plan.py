import shutil
from contextlib import chdir

import pytest
from dvc.exceptions import DvcException
from dvc.repo import Repo

from runner.plan import make_plan

STAGES = """
  last: {cmd: cat left right > last, deps: [left, right], outs: [last]}
  side:
    matrix: {hand: [left, right]}
    cmd: cat first > ${item.hand}
    deps: [first, "${item.hand}.in"]
    outs: ["${item.hand}"]
  first: {cmd: cat in > first, deps: [in], outs: [first]}
  alone: {cmd: cat in > alone, deps: [in], outs: [alone]}
"""
NAMES = ["first", "side@left", "side@right", "last", "alone"]


@pytest.fixture
def project(repository, monkeypatch):
    where = repository(STAGES)
    (where / "left.in").write_text("")
    (where / "right.in").write_text("")
    monkeypatch.chdir(where)
    return where


@pytest.fixture(scope="module")
def computed_once(empty, tmp_path_factory):
    where = tmp_path_factory.mktemp("computed") / "repository"
    shutil.copytree(empty, where)
    (where / "dvc.yaml").write_text(f"stages:\n{STAGES}")
    for name in ("in", "left.in", "right.in"):
        (where / name).write_text("")
    with chdir(where), Repo() as repo:
        repo.reproduce()
    return where


@pytest.fixture
def computed(computed_once, tmp_path, monkeypatch):
    """A copy of the repository in which all has run, which is entered."""
    where = shutil.copytree(computed_once, tmp_path / "repository")
    monkeypatch.chdir(where)
    return where


def names(plan):
    return [step.name for step in plan.steps]


def test_producers_come_first_and_are_waited_for(project):
    plan = make_plan([])
    assert plan.root == project
    assert {step.name: step.after for step in plan.steps} == {
        "first": (),
        "side@left": ("first",),
        "side@right": ("first",),
        "last": ("side@left", "side@right"),
        "alone": (),
    }
    assert names(plan) == list(plan.order) == NAMES


def test_nothing_runs_where_all_is_up_to_date(computed):
    plan = make_plan([])
    assert names(plan) == []
    assert list(plan.order) == NAMES
    assert "first:" in (computed / "dvc.lock").read_text()


def test_a_change_takes_with_it_what_is_made_from_it_and_no_more(computed):
    (computed / "left.in").write_text("changed")
    plan = make_plan([])
    assert {step.name: step.after for step in plan.steps} == {
        "side@left": (),
        "last": ("side@left",),
    }


def test_a_target_takes_with_it_what_it_is_made_from_and_no_more(project):
    assert names(make_plan(["side@right"])) == ["first", "side@right"]
    assert names(make_plan(["side", "alone"])) == ["first", "side@left", "side@right", "alone"]
    assert project.joinpath("dvc.lock").exists() is False


def test_a_target_that_is_up_to_date_has_no_steps(computed):
    (computed / "left.in").write_text("changed")
    assert names(make_plan(["side@right"])) == []


@pytest.mark.parametrize(
    ("target", "hint"), [("side@rigt", "did you mean 'side@right'"), ("xyz", "dvc stage list")]
)
def test_an_unknown_target_is_refused_with_a_hint(project, target, hint):
    with pytest.raises(DvcException, match=f"no stage '{target}' in dvc.yaml: .*{hint}"):
        make_plan([target])
    assert project.exists()
