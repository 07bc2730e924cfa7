"""What is refused, and what would be submitted, before SLURM is asked anything."""

import re
import shutil
import subprocess

import pytest
from dvc.exceptions import DvcException

from slurm import scheduler
from slurm.command import call

STAGES = """
  a: {cmd: cat in > out/a, deps: [in, code], outs: [out/a]}
  b:
    matrix: {i: [1, 2]}
    cmd: cat out/a > out/b${item.i}
    deps: [out/a]
    outs: ["out/b${item.i}"]
  last: {cmd: cat out/b1 out/b2 > out/last, deps: [out/a, out/b1, out/b2], outs: [out/last]}
  drawn: {cmd: cat in > drawn, deps: [in], plots: [drawn: {cache: false}]}
"""


@pytest.fixture
def where(project):
    where = project(STAGES, profiles="b: {gpus: 1, warning: 60}\n")
    (where / "code").mkdir()
    return where


def test_the_dry_run_prints_the_plan_and_submits_nothing(where, run):
    code, out, err = run(where, "slurm.submit", "--dry", "last")
    assert code == 0, err
    assert out.splitlines() == [
        "a  --mem=100M --time=00:05:00",
        "b@1  --gpus=1 --mem=100M --time=00:05:00 --signal=B:USR1@60  array of 2  after a",
        "b@2  --gpus=1 --mem=100M --time=00:05:00 --signal=B:USR1@60  array of 2  after a",
        "last  --mem=100M --time=00:05:00  after a, b@... (2)",
    ]
    assert not (where / "dvc.lock").exists()


def test_uncommitted_changes_are_refused_with_a_remedy(where, call_main, commit):
    (where / "drawn").write_text("former\n")
    commit(where)
    (where / "in").write_text("changed\n")
    (where / "code/new.py").write_text("")
    (where / "unrelated").write_text("")
    (where / "drawn").write_text("new\n")
    (where / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    code, _, err = call_main(where, "slurm.submit")
    assert code == 1
    assert err == (
        "error: jobs run the code of HEAD, and these files differ from it:\n"
        "    in\n    code/new.py\n"
        "commit them, or put them aside with `git stash --include-untracked`\n"
    )


def test_what_the_check_adds_to_the_parameters_has_to_be_committed_first(
    where, call_main, commit, monkeypatch
):
    """Jobs run the code of HEAD, which would lack it."""
    (where / "pyproject.toml").write_text('[tool.runner]\ncheck = "adding:check"\n')
    (where / "adding.py").write_text(
        "from pathlib import Path\n\ndef check():\n    Path('in').write_text('added')\n"
    )
    commit(where)
    monkeypatch.syspath_prepend(where)
    code, _, err = call_main(where, "slurm.submit", "--dry")
    assert code == 1
    assert "these files differ from it:\n    in\ncommit them" in err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["othr"], 1, "error: no stage 'othr'"),
        (["--jobs", "0"], 2, "--jobs: '0' is no whole number of 1 or more"),
        (["-S", "rate=3"], 1, "error: -S rate=3 changes nothing: HEAD has that"),
    ],
)
def test_wrong_arguments_are_refused(project, call_main, words, code, message):
    found, _, err = call_main(project(STAGES, params="rate: 3\n"), "slurm.submit", "--dry", *words)
    assert found == code
    assert message in err
    assert "Traceback" not in err


def test_an_archive_without_git_is_told_the_remedy(tmp_path, call_main):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    code, _, err = call_main(tmp_path, "slurm.submit")
    assert code == 1
    assert re.search(r"error: .* is not a git repository, so .* `git init` .* `git clone`", err)
    assert "Traceback" not in err


def test_another_folder_is_told_to_be_the_wrong_one(tmp_path, call_main):
    code, _, err = call_main(tmp_path, "slurm.submit")
    assert code == 1
    assert f"{tmp_path} is not in the repository; run this from the root of the repository" in err


def test_a_dry_run_says_that_there_is_nothing_to_do(project, call_main):
    where = project("  a: {cmd: cat in > out/a, deps: [in], outs: [out/a]}\n")
    assert call_main(where, "runner.local")[0] == 0
    code, out, err = call_main(where, "slurm.submit", "--dry")
    assert (code, out) == (0, "")
    assert "nothing to submit: all stages are up to date" in err


def test_a_repository_without_a_commit_has_nothing_for_jobs(project, call_main):
    where = project("  a: {cmd: cat in > out/a, deps: [in], outs: [out/a]}\n")
    shutil.rmtree(where / ".git")
    subprocess.run(["git", "init", "-q", where], check=True)
    code, _, err = call_main(where, "slurm.submit", "--dry")
    assert code == 1
    assert "there is no commit here: `git clone` the repository, or `git add --all" in err


def test_without_slurm_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DvcException, match="there is no `squeue` here: install it"):
        scheduler.states()


def test_a_command_that_fails_is_reported_in_its_own_words(tmp_path):
    with pytest.raises(DvcException, match="git rev-parse: fatal: not a git repository"):
        call("git", "rev-parse", "HEAD", cwd=tmp_path)


@pytest.mark.parametrize(
    ("stage", "why"),
    [
        ("cmd: date > a, deps: [in], outs: [a: {cache: false}]", "a has `cache: false`; list it"),
        ("cmd: date > a, deps: [in], outs: [a: {persist: true}]", "`persist: true`; remove that"),
        ("cmd: date > a, outs: [a]", "lacks `deps` or `outs`"),
        ("cmd: date > a, deps: [in], outs: [a], always_changed: true", "always run anew"),
    ],
)
def test_stages_without_a_run_cache_entry_are_refused(project, call_main, stage, why):
    first = "  first: {cmd: cat in > first, deps: [in], outs: [first]}\n"
    where = project(first + f"  a: {{{stage.replace('[in]', '[first]')}}}\n")
    code, out, err = call_main(where, "slurm.submit", "--dry")
    assert code == 1
    assert out == ""
    assert re.search(f"error: a cannot be a job, as its result could not come back: .*{why}", err)
