import os
import signal

import pytest

# `ran` is no output: it lists the commands that were run.
CHAIN = """
  a: {cmd: echo a >> ran; cat in > a, deps: [in], outs: [a]}
  b: {cmd: echo b >> ran; cat a > b, deps: [a], outs: [b]}
  other: {cmd: echo other >> ran; cat in > other, deps: [in], outs: [other]}
"""
# Each ends only when the other has started.
MEET = "touch {0}.on; for i in $(seq 200); do [ -e {1}.on ] && echo > {0} && exit; sleep 0.1; done"
# Values whose text in a lock file is not the obvious one.
PARAMS = """
rate: 1.0e-5
big: 1.0e+16
texts: ["yes", "010", "1e-5", "", "a: b", "é", "null", "trailing "]
nested: {empty: {}, none: [], nil: null, deep: [{list: [1, 2.50, .inf]}]}
long: a text that is longer than the eighty columns at which a lock file's lines are folded
"""
ODD = """
  z:
    matrix: {value: ["on", 1.5, x]}
    cmd: |
      mkdir -p z/${item.value}

      cat c > z/${item.value}/1
    deps: [c]
    params: [rate, big, texts, nested, long]
    outs: ["z/${item.value}"]
  c: {cmd: cat in > c, deps: [in], outs: [c]}
  a:
    cmd: cat $(find z -type f) c > a; cp a report
    deps: [z, c]
    outs: [a]
    metrics: [report: {cache: false}]
  b: {cmd: "sleep 0.3; echo b > b", outs: [b]}
"""


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_stages_run_side_by_side(repository, run):
    stages = "".join(
        f"  {one}: {{cmd: '{MEET.format(one, two)}', outs: [{one}]}}\n"
        for one, two in (("a", "b"), ("b", "a"))
    )
    where = repository(stages)
    code, _, err = run(where, "runner.local", "--jobs", "2")
    assert code == 0, err
    assert (where / "a").exists()
    assert (where / "b").exists()
    assert "2/2 done, 0 running" in err


def test_a_stage_waits_for_its_producers_and_a_second_call_runs_nothing(repository, call_main):
    where = repository(CHAIN)
    assert call_main(where, "runner.local", "--jobs", "3")[0] == 0
    ran = (where / "ran").read_text().split()
    assert sorted(ran) == ["a", "b", "other"]
    assert ran.index("a") < ran.index("b")
    lock = (where / "dvc.lock").stat().st_mtime_ns
    code, _, err = call_main(where, "runner.local")
    assert code == 0
    assert "nothing to do" in err
    assert (where / "dvc.lock").stat().st_mtime_ns == lock
    assert (where / "ran").read_text().split() == ran


def test_dry_says_what_would_run_and_runs_nothing(repository, call_main):
    where = repository(CHAIN)
    code, out, _ = call_main(where, "runner.local", "--dry", "b")
    assert code == 0
    assert out == "a\nb after a\n"
    assert not (where / "ran").exists()
    assert not (where / "dvc.lock").exists()


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["othr"], 1, "error: no stage 'othr'"),
        (["--jobs", "0"], 2, "--jobs: '0' is no whole number of 1 or more"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(repository, call_main, argv, code, message):
    exit_code, _, err = call_main(repository(CHAIN), "runner.local", *argv)
    assert exit_code == code
    assert message in err
    assert "Traceback" not in err


def test_outside_a_repository_it_says_so(tmp_path, call_main):
    code, _, err = call_main(tmp_path, "runner.local")
    assert code == 1
    assert "run this from the root of the repository" in err


@pytest.mark.slow
def test_after_a_failure_others_finish_and_a_second_call_runs_what_is_missing(repository, run):
    where = repository(
        CHAIN.replace("cat a > b", "seq 20; test -e mended || exit 7; cat a > b")
        + "  c: {cmd: cat b > c, deps: [b], outs: [c]}\n"
        "  later: {cmd: sleep 1; cat other > later, deps: [other], outs: [later]}\n"
    )
    code, _, err = run(where, "runner.local", "--jobs", "2")
    assert code == 1
    assert "b: exit code 7; the end of .dvc/tmp/logs/b.log:" in err
    assert "    20\n" in err
    assert "    2\n" not in err
    assert "failed: b\nskipped, as they wait for these: c\n" in err
    assert (where / "later").exists()
    (where / "mended").touch()
    (where / "ran").unlink()
    assert run(where, "runner.local")[0] == 0
    assert (where / "ran").read_text() == "b\n"
    assert (where / "c").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_and_the_same_command_continues(
    repository, run, begin, eventually, number
):
    where = repository(
        "  a: {cmd: 'echo $$ > pid.a; [ -e go ] || sleep 600; echo > a', outs: [a]}\n"
        "  b: {cmd: 'sh -c \"echo \\$\\$ > pid.b; [ -e go ] || sleep 600\"; echo > b', outs: [b]}\n"
        "  c: {cmd: cat b > c, deps: [b], outs: [c]}\n"
    )
    process = begin(where, "runner.local", "--jobs", "2")
    assert eventually(lambda: all((where / f"pid.{name}").exists() for name in "ab"))
    os.killpg(process.pid, number)  # as a terminal does
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "the same command continues" in err
    for name in "ab":
        assert eventually(lambda: gone(int((where / f"pid.{name}").read_text())))  # noqa: B023
        assert not (where / name).exists()
    (where / "go").touch()
    assert run(where, "runner.local")[0] == 0
    assert (where / "c").exists()


@pytest.mark.slow
def test_a_command_that_ignores_signals_is_killed(repository, begin, eventually):
    where = repository(
        "  a: {cmd: 'trap \"\" INT TERM; echo $$ > pid; while :; do sleep 1; done', outs: [a]}\n"
    )
    process = begin(where, "runner.local")
    assert eventually((where / "pid").exists)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    assert eventually(lambda: gone(int((where / "pid").read_text())))


@pytest.mark.slow
def test_an_error_of_the_runner_stops_what_runs(repository, begin, eventually):
    where = repository(
        "  a: {cmd: 'echo $$ > pid; sleep 600', outs: [a]}\n"
        "  b: {cmd: 'while [ ! -e go ]; do sleep 0.1; done; echo > b', outs: [b]}\n"
    )
    process = begin(where, "runner.local", "--jobs", "2")
    pid = where / "pid"
    assert eventually(lambda: pid.exists() and pid.read_text())
    process.stderr.close()  # so that no message can be written
    (where / "go").touch()
    assert process.wait(timeout=60) == 1
    assert eventually(lambda: gone(int(pid.read_text())), seconds=1)
    process.stderr = None  # nothing is left to read there


@pytest.mark.slow
def test_the_lock_file_has_the_bytes_of_a_serial_run(repository, run):
    serial, parallel = (repository(ODD, name, PARAMS) for name in ("serial", "parallel"))
    for where in (serial, parallel):  # or DVC lists outputs in z/.gitignore as they come
        (where / ".gitignore").write_text("/z/\n")
    code, _, err = run(serial, "dvc", "repro")
    assert code == 0, err
    code, _, err = run(parallel, "runner.local", "--jobs", "4")
    assert code == 0, err
    assert (parallel / "dvc.lock").read_bytes() == (serial / "dvc.lock").read_bytes()
    assert run(parallel, "dvc", "status")[1] == run(serial, "dvc", "status")[1]


@pytest.mark.slow
def test_no_entry_is_lost_among_many_processes(repository, run):
    stages = "".join(
        f"  s{i:02}: {{cmd: 'echo > o{i}', deps: [{f'o{i // 3}' if i else 'in'}], outs: [o{i}]}}\n"
        for i in range(40)
    )
    serial, parallel = (repository(stages, name) for name in ("serial", "parallel"))
    assert run(serial, "dvc", "repro")[0] == 0
    assert run(parallel, "runner.local", "--jobs", "16")[0] == 0
    assert (parallel / "dvc.lock").read_bytes() == (serial / "dvc.lock").read_bytes()


def test_stages_apart_from_the_data_start_last(repository, call_main):
    """One at a time: what little is made from waits, though it waits for nothing itself."""
    where = repository(
        "  bench: {cmd: echo bench >> ran; touch bench, outs: [bench]}\n"
        "  chart: {cmd: echo chart >> ran; touch chart, deps: [bench], outs: [chart]}\n"
        "  tissue: {cmd: echo tissue >> ran; touch tissue, outs: [tissue]}\n"
        "  a: {cmd: echo a >> ran; touch a, deps: [tissue], outs: [a]}\n"
        "  b: {cmd: echo b >> ran; touch b, deps: [tissue], outs: [b]}\n"
        "  long: {cmd: echo long >> ran; touch long, deps: [b], outs: [long]}\n"
        "  last: {cmd: echo last >> ran; touch last, deps: [long], outs: [last]}\n"
        "  both: {cmd: echo both >> ran; touch both, deps: [a, bench], outs: [both]}\n"
    )
    assert call_main(where, "runner.local", "--jobs", "1")[0] == 0
    ran = (where / "ran").read_text().split()
    assert ran == ["tissue", "b", "a", "long", "last", "bench", "both", "chart"]


def test_time_left_is_told_once_every_kind_of_stage_was_timed(repository, call_main):
    stages = (
        "  quick: {matrix: {n: [x, y]}, cmd: 'echo > ${item.n}', outs: ['${item.n}']}\n"
        "  slow: {cmd: cat in x y > slow, deps: [in, x, y], outs: [slow]}\n"
    )
    where = repository(stages)
    _, _, first = call_main(where, "runner.local", "--jobs", "1")
    lines = [line for line in first.splitlines() if "running" in line]
    assert not [line for line in lines[:-1] if "left" in line]  # nobody knows how long `slow` takes
    assert lines[-1].startswith("done   slow  [3/3 done, 0 running")
    (where / "in").write_text("2\n")
    (where / "x").unlink()
    (where / "dvc.lock").unlink()
    _, _, again = call_main(where, "runner.local", "--jobs", "1")
    assert all("left" in line for line in again.splitlines() if "running" in line)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "text"), [("params.yaml", "x: 2\n"), ("in", "2\n")])
def test_inputs_that_change_while_a_stage_runs_are_not_recorded(
    repository, run, begin, eventually, name, text
):
    where = repository(
        '  a: {cmd: "cat in params.yaml > a; echo $$ > pid; while [ ! -e go ]; do sleep 0.1; done",'
        " deps: [in], params: [x], outs: [a]}\n",
        params="x: 1\n",
    )
    process = begin(where, "runner.local")
    pid = where / "pid"
    assert eventually(lambda: pid.exists() and pid.read_text())
    before = (where / name).read_text()
    (where / name).write_text(text)
    (where / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"'a': {name} changed while it ran, so that its results are not kept" in err
    assert run(where, "runner.local")[0] == 0
    assert text in (where / "a").read_text()
    (where / name).write_text(before)
    assert run(where, "runner.local")[0] == 0
    assert (where / "a").read_text() == "1\nx: 1\n"
