"""Jobs on a real SLURM, which the fixtures install, start and stop."""

import hashlib
import os
import signal
import subprocess

import pytest

from tests.slurm.conftest import ran, stage

pytestmark = pytest.mark.slow
CLUSTER = pytest.mark.usefixtures("cluster")


def numbers(where):
    """Return stage and job of everything that was submitted."""
    found = where.glob(".dvc/tmp/slurm/*/stages/*/job")
    return {file.parent.name: file.read_text() for file in found}


def until(file):
    """Return commands that wait for a file."""
    return f"touch {file}.on; while [ ! -e {file} ]; do sleep 0.1; done;"


@CLUSTER
def test_the_workspace_ends_as_after_a_local_run(project, run, shared):
    many = (
        "  many:\n    matrix: {i: [c, b, a]}\n"
        '    cmd: \'[ -z "$SLURM_JOB_ID" ] || test -n "$CUDA_VISIBLE_DEVICES" || exit 9;\n'
        "      pwd >> SHARED/ran; mkdir -p out/many; cat out/one > out/many/${item.i}'\n"
        "    deps: [out/one]\n    params: [rate]\n    outs: ['out/many/${item.i}']\n"
    )
    stages = many.replace("SHARED", str(shared)) + (
        f"  one: {{cmd: 'pwd >> {shared}/ran; cat in > out/one', deps: [in], outs: [out/one]}}\n"
        f"  drawn:\n    cmd: 'pwd >> {shared}/ran; cat out/many/* > drawn; cat drawn > out/drawn'\n"
        "    deps: [out/many]\n    outs: [out/drawn]\n    plots: [drawn: {cache: false}]\n"
    )
    local, there = (project(stages, name, "rate: 1.0e-5\n", "many: {gpus: 1}\n") for name in "lt")
    assert run(local, "dvc", "repro")[0] == 0
    (shared / "ran").unlink()
    code, _, err = run(there, "slurm.submit")
    assert code == 0, err
    assert (there / "dvc.lock").read_bytes() == (local / "dvc.lock").read_bytes()
    assert (there / "drawn").read_text() == "1\n1\n1\n"
    assert run(there, "dvc", "status")[1] == run(local, "dvc", "status")[1]
    places = ran(shared)
    assert len(set(places)) == len(places) == 5  # five clones, none of them the workspace
    assert str(there) not in places
    jobs = numbers(there)
    assert {jobs[f"many@{i}"].partition("_")[2] for i in "abc"} == {"0", "1", "2"}
    code, _, err = run(there, "slurm.submit")
    assert code == 0
    assert "nothing to submit" in err
    assert len(ran(shared)) == 5


def test_after_a_failure_a_second_call_submits_what_is_missing(project, run, cluster, shared):
    where = project(
        stage("good", shared)
        + stage("bad", shared, before=f"seq 20; test -e {shared}/mended || exit 7;")
        + stage("after", shared, "out/bad out/good")
        + stage("last", shared, "out/after")
        + stage("sibling", shared, "out/good", before="sleep 3;")
    )
    code, _, err = run(where, "slurm.submit")
    assert code == 1
    job = numbers(where)["bad"]
    assert f"bad: job {job} FAILED, exit code 7; the end of .dvc/tmp/slurm/" in err
    assert "    20\n" in err
    assert "failed: bad\ncancelled, as they wait for these: after, last\n" in err
    assert (where / "out/sibling").read_text() == "1\n"
    assert cluster.jobs() == []
    assert ran(shared) == ["bad", "good", "sibling"]
    (shared / "mended").touch()
    code, _, err = run(where, "slurm.submit")
    assert code == 0, err
    assert ran(shared) == ["after", "bad", "bad", "good", "last", "sibling"]
    assert (where / "out/last").read_text() == "1\n1\n"


def test_a_killed_job_is_reported_and_runs_again(project, run, begin, cluster, shared, eventually):
    before = f"test -e {shared}/again || {{ touch {shared}/again; sleep 100; }};"
    where = project(stage("a", shared, before=before) + stage("b", shared, "out/a"))
    process = begin(where, "slurm.submit")
    assert eventually((shared / "again").exists)
    for pid in cluster.processes()[1:]:
        os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "FAILED, signal 9; the end of" in err
    assert not (where / "out/a").exists()
    assert run(where, "slurm.submit")[0] == 0
    assert ran(shared) == ["a", "a", "b"]


def test_a_job_of_a_crashed_node_runs_on_another(project, begin, cluster, shared, eventually):
    before = f"echo $SLURMD_NODENAME > {shared}/node; {until(shared / 'go')}"
    where = project(stage("a", shared, before=before) + stage("b", shared, "out/a"),
                    profiles="a: {restarts: 1}\n")  # fmt: skip
    process = begin(where, "slurm.submit")
    assert eventually((shared / "go.on").exists)
    first = (shared / "node").read_text().strip()
    (shared / "go.on").unlink()
    cluster.crash(first)
    try:
        assert eventually((shared / "go.on").exists, 120)
        assert (shared / "node").read_text().strip() != first
        (shared / "go").touch()
        _, err = process.communicate(timeout=120)
    finally:
        cluster.mend(first)
    assert process.returncode == 0, err
    assert ran(shared) == ["a", "a", "b"]
    assert (where / "out/b").read_text() == "1\n"


@CLUSTER
def test_two_submitters_share_the_jobs(project, begin, shared):
    where = project(
        stage("a", shared, before="sleep 1;")
        + stage("b", shared, "out/a")
        + stage("c", shared, "out/a")
    )
    both = [begin(where, "slurm.submit") for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert ran(shared) == ["a", "b", "c"]
    assert (where / "out/c").read_text() == "1\n"


@CLUSTER
def test_edits_after_submitting_do_not_reach_the_jobs(project, begin, run, shared, eventually):
    where = project(stage("a", shared, before=until(shared / "go")))
    process = begin(where, "slurm.submit")
    assert eventually((shared / "go.on").exists)
    (where / "in").write_text("edited\n")
    (shared / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "done, but not for what the workspace now holds: a" in err
    assert not (where / "out/a").exists()
    subprocess.run(["git", "checkout", "-q", "in"], cwd=where, check=True)
    code, _, err = run(where, "slurm.submit")
    assert code == 0
    assert "nothing to submit" in err
    assert (where / "out/a").read_text() == "1\n"


def test_an_interrupt_leaves_jobs_running_and_a_second_call_joins(
    project, begin, run, cluster, shared, eventually
):
    where = project(stage("a", shared, before=until(shared / "go")) + stage("b", shared, "out/a"))
    process = begin(where, "slurm.submit")
    assert eventually((shared / "go.on").exists)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    jobs = numbers(where)
    assert f"the same command joins them, `scancel {jobs['a']} {jobs['b']}` ends them" in err
    assert sorted(cluster.jobs()) == sorted(jobs.values())
    (shared / "go").touch()
    code, _, err = run(where, "slurm.submit")
    assert code == 0, err
    assert numbers(where) == jobs
    assert ran(shared) == ["a", "b"]


@CLUSTER
def test_no_more_jobs_than_asked_are_in_flight(project, run, shared):
    alone = f"mkdir {shared}/busy || exit 5; sleep 1; rmdir {shared}/busy;"
    where = project("".join(stage(name, shared, before=alone) for name in "abc"))
    code, _, err = run(where, "slurm.submit", "--jobs", "1", "--no-wait")
    assert code == 0
    assert "1 jobs in flight, 2 not submitted; the same command submits what is left" in err
    assert len(numbers(where)) == 1
    code, _, err = run(where, "slurm.submit", "--jobs", "1")
    assert code == 0, err
    assert ran(shared) == ["a", "b", "c"]
    assert len(set(numbers(where).values())) == 3


@CLUSTER
def test_a_variant_becomes_an_experiment_and_leaves_the_workspace_alone(
    project, run, commit, shared
):
    stages = stage("a", shared) + stage("b", shared, "out/a", "echo ${method};", params="[method]")
    where = project(stages, params="# the method\nmethod: comm\nlist:\n- 1\n")
    assert run(where, "slurm.submit")[0] == 0
    commit(where)
    lock = (where / "dvc.lock").read_bytes()
    code, _, err = run(where, "slurm.submit", "-S", "method=byol")
    assert code == 0, err
    assert ran(shared) == ["a", "b", "b"]
    assert "> echo b" in next(where.glob(".dvc/tmp/slurm/*-*/stages/b/log")).read_text()
    assert (where / "dvc.lock").read_bytes() == lock
    assert (where / "params.yaml").read_text().startswith("# the method\nmethod: comm\n")
    shown = run(where, "dvc", "exp", "show", "--csv", "--drop", "Created")[1]
    assert [line.split(",")[:5] for line in shown.splitlines() if "byol" in line]
    code, _, err = run(where, "slurm.submit", "-S", "method=byol")
    assert code == 0
    assert "nothing to submit" in err
    name = next(word for word in err.split() if word.startswith("slurm-")).strip(":")
    assert run(where, "dvc", "exp", "apply", name)[0] == 0
    assert "method: byol" in (where / "params.yaml").read_text()
    assert ran(shared) == ["a", "b", "b"]


@pytest.fixture
def small(tmp_path):
    """Return a file system of 300 kB."""
    place = tmp_path / "small"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@CLUSTER
def test_a_full_cache_loses_nothing(project, run, shared, small):
    where = project(
        f"  big:\n    cmd: echo big >> {shared}/ran; head -c 500000 /dev/zero > out/big\n"
        "    deps: [in]\n    outs: [out/big]\n"
        + stage("other", shared)
    )  # fmt: skip
    run(where, "dvc", "cache", "dir", "--local", str(small))
    (where / "out/big").write_text("former\n")
    code, _, err = run(where, "slurm.submit")
    assert code == 1
    assert "No space left on device" in err
    assert (where / "out/big").read_text() == "former\n"
    subprocess.run(["mount", "-o", "remount,size=9m", str(small)], check=True)
    code, _, err = run(where, "slurm.submit")
    assert code == 0, err
    assert (where / "out/big").stat().st_size == 500000
    for file in small.glob("files/md5/??/" + "?" * 30):  # no half-written object bears its name
        md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        assert md5 == file.parent.name + file.name


def test_a_cache_that_cannot_be_written_is_refused(project, run, small):
    where = project("  a: {cmd: cat in > out/a, deps: [in], outs: [out/a]}\n")
    run(where, "dvc", "cache", "dir", "--local", str(small))
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    code, _, err = run(where, "slurm.submit", "--dry")
    assert code == 1
    assert f"error: the cache {small} cannot be written: jobs would lose their results" in err
