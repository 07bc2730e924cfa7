"""Stages with `meta: {first: true}` run where jobs are submitted, before the plan is made."""

import pytest

from tests.slurm.conftest import ran, stage
from tests.slurm.test_submit import CLUSTER, numbers

pytestmark = pytest.mark.slow

# As the study's stage `code`: files without comments, in a folder that is one output.
FIRST = """
  code:
    cmd: >-
      pwd >> SHARED/first; mkdir -p out/code;
      for name in a b; do sed 's/ *#.*//' source/$name > out/code/$name; done
    deps: [source]
    outs: [out/code]
    meta: {first: true}
"""


@CLUSTER
def test_stages_marked_first_run_here_and_jobs_read_files_of_their_folder(
    project, run, commit, shared
):
    users = stage("a", shared, "out/code/a", "cat ${text};", params="[text]")
    where = project(
        FIRST.replace("SHARED", str(shared)) + users + stage("b", shared, "out/code/b out/a"),
        params="text: in\n",
    )
    (where / "source").mkdir()
    for letter in "ab":
        (where / "source" / letter).write_text(f"{letter}\n")
    commit(where)
    code, out, err = run(where, "slurm.submit", "--dry")
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()] == ["a", "b"]
    assert "after" not in out.splitlines()[0]  # `code` has run, so no job waits for it
    code, _, err = run(where, "slurm.submit")
    assert code == 0, err
    assert ran(shared) == ["a", "b"]
    assert (shared / "first").read_text().split() == [str(where)]
    assert (where / "out/b").read_text() == "b\na\n"
    assert sorted(numbers(where)) == ["a", "b"]
    commit(where)
    lock = (where / "dvc.lock").read_bytes()

    (where / "source/a").write_text("a  # a comment\n")
    commit(where)
    code, _, err = run(where, "slurm.submit")
    assert code == 0, err
    assert "nothing to submit" in err
    assert (where / "dvc.lock").read_bytes() != lock
    commit(where)
    (where / "source/b").write_text("changed\n")
    commit(where)
    code, _, err = run(where, "slurm.submit")
    assert code == 0, err
    assert ran(shared) == ["a", "b", "b"]
    assert (where / "out/b").read_text() == "changed\na\n"
    commit(where)
    former = (shared / "first").read_text()
    code, _, err = run(where, "slurm.submit", "-S", "text=params.yaml")
    assert code == 0, err
    assert ran(shared) == ["a", "a", "b", "b"]  # what `a` writes is as before
    assert (shared / "first").read_text() == former
    assert run(where, "dvc", "status")[1] == "Data and pipelines are up to date.\n"


def test_a_first_stage_that_fails_is_reported_before_anything_is_submitted(project, run, shared):
    where = project(
        "  code: {cmd: seq 3; exit 7, deps: [in], outs: [out/code], meta: {first: true}}\n"
        + stage("a", shared, "out/code")
    )
    code, out, err = run(where, "slurm.submit", "--dry")
    assert (code, out) == (1, "")
    assert "code: exit code 7; the end of .dvc/tmp/logs/code.log:" in err
    assert err.endswith("error: nothing else can be planned until that is done\n")
