"""Commands run in forks of one process that has imported what they share."""

import os
import signal
from pathlib import Path

import pytest

# Each line of `ran`: the stage, whether `shared` was imported in the process of the command, or
# before it was forked, and what the stage was to do.
STAGE = """
import atexit, os, signal, sys, time
import shared

def say(text):
    with open("ran", "a") as file:
        print(text, file=file)

def main(name, what):
    say(f"{name} {shared.imported()} {what}")
    if what == "fail":
        print("it said")
        sys.exit(7)
    if what == "message":
        sys.exit("error: a sentence")
    if what == "raise":
        raise ValueError("a mistake")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "wait":
        print("waiting")
        open("pid", "w").write(str(os.getpid()))
        try:
            while not os.path.exists("go"):
                time.sleep(0.1)
        except KeyboardInterrupt:
            say("interrupted")
            raise
    if what == "environment":
        names = ("DVC_STAGE", "PINNED", "SET", "PYTHONUNBUFFERED", "SHELL")
        say([os.environ.get(key) for key in names])
        say([sys.path[0], sys.argv, __name__, os.getcwd()])
    if what == "exit":
        atexit.register(say, "at exit")
    open(name, "w").write(what)

if __name__ == "__main__":
    main(*sys.argv[1:])
"""
MAIN = "import sys\nfrom work.stage import main\nif __name__ == '__main__': main(*sys.argv[1:])\n"
SHARED = """
import os
os.environ.setdefault("PINNED", "by the import")
PID = os.getpid()

def imported():
    return "anew" if os.getpid() == PID else "before"
"""


def stage(name, what, deps="in"):
    cmd = f"python -m work.stage {name} {what}"
    return f"  {name}: {{cmd: {cmd}, deps: [{deps}], outs: [{name}]}}\n"


def stages(first="nothing"):
    """Return five stages, enough for what they share to be imported once."""
    return stage("s0", first) + "".join(stage(f"s{i}", "nothing") for i in range(1, 5))


@pytest.fixture
def warm(repository):
    """Return a function that makes a repository of stages, and names what they share."""

    def make(text, name="repository", preload='["work", "shared"]'):
        where = repository(text, name)
        (where / "work").mkdir()
        for file, code in (("__init__", ""), ("stage", STAGE), ("__main__", MAIN)):
            (where / f"work/{file}.py").write_text(code)
        (where / "shared.py").write_text(SHARED)
        (where / "pyproject.toml").write_text(f"[tool.runner]\npreload = {preload}\n")
        return where

    return make


def ran(where):
    return sorted((where / "ran").read_text().splitlines())


def test_a_command_runs_in_a_fork_and_gives_the_bytes_of_dvc_repro(warm, run):
    forked, serial = (warm(stages("exit"), name) for name in ("forked", "serial"))
    code, _, err = run(forked, "runner.local", "--jobs", "2")
    assert code == 0, err
    assert run(serial, "dvc", "repro")[0] == 0
    assert ran(forked) == [
        "at exit", "s0 before exit", *(f"s{i} before nothing" for i in range(1, 5)),
    ]  # fmt: skip
    assert ran(serial) == [line.replace("before", "anew") for line in ran(forked)]
    assert (forked / "dvc.lock").read_bytes() == (serial / "dvc.lock").read_bytes()


def test_environment_and_arguments_are_those_of_a_new_process(warm, begin):
    where = warm(stages("environment"))
    assert begin(where, "runner.local", SET="here").wait(timeout=60) == 0
    assert "['s0', 'by the import', 'here', '1', '/bin/sh']" in ran(where)
    path = str(where / "work/stage.py")
    assert str([str(where), [path, "s0", "environment"], "__main__", str(where)]) in ran(where)


def test_a_shell_command_lacks_what_the_imports_set(warm, run):
    cmd = "echo shell $PINNED. >> ran; touch shell"
    where = warm(f"{stages()}  shell: {{cmd: {cmd}, outs: [shell]}}\n")
    assert run(where, "runner.local")[0] == 0
    assert "shell ." in ran(where)


@pytest.mark.parametrize(
    "cmd",
    [
        "true && python -m work.stage shell nothing",
        "SET=1 python -m work.stage shell nothing",
        "python -m work.stage shell 'nothing'",
        "python -O -m work.stage shell nothing",
        "python -m work shell nothing",
    ],
)
def test_any_other_command_runs_in_a_shell(warm, run, cmd):
    where = warm(f'{stages()}  shell: {{cmd: "{cmd}", deps: [in], outs: [shell]}}\n')
    code, _, err = run(where, "runner.local")
    assert code == 0, err
    assert "shell anew nothing" in ran(where)
    assert "s0 before nothing" in ran(where)


def test_few_stages_start_python_anew(warm, run):
    where = warm(stage("s0", "nothing"))
    assert run(where, "runner.local")[0] == 0
    assert ran(where) == ["s0 anew nothing"]


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("fail", 7, "it said"),
        ("message", 1, "error: a sentence"),
        ("raise", 1, "ValueError: a mistake"),
        ("die", 1, "exited with -9"),
    ],
)
def test_a_failure_is_reported_as_that_of_a_new_process(warm, run, what, code, said):
    where = warm(stages(what))
    exit_code, _, err = run(where, "runner.local")
    assert exit_code == 1
    assert f"s0: exit code {code}; the end of .dvc/tmp/logs/s0.log:" in err
    assert said in err
    assert "failed: s0\n" in err
    assert f"s0 before {what}" in ran(where)
    assert not (where / "s0").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_forks_and_the_same_command_continues(warm, run, begin, eventually, number):
    where = warm(stages("wait"))
    process = begin(where, "runner.local", "--jobs", "2")
    pid = where / "pid"
    assert eventually(lambda: pid.exists() and pid.read_text())
    assert "waiting" in (where / ".dvc/tmp/logs/s0.log").read_text()
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert not Path("/proc", pid.read_text()).exists()
    assert "interrupted" in ran(where)  # the first signal to a stage is SIGINT
    (where / "dvc.yaml").write_text(f"stages:\n{stages()}")
    assert run(where, "runner.local")[0] == 0


def test_code_that_is_edited_while_others_run_is_imported_anew(warm, begin, eventually):
    later = (stage(f"s{i}", "nothing", "s0") for i in range(1, 5))
    where = warm(stage("s0", "wait") + "".join(later))
    process = begin(where, "runner.local", "--jobs", "1")
    assert eventually((where / "pid").exists)
    (where / "shared.py").write_text(SHARED.replace('"anew"', '"edited"'))
    (where / "go").touch()
    assert process.wait(timeout=60) == 0
    assert ran(where) == ["s0 before wait", *(f"s{i} edited nothing" for i in range(1, 5))]


@pytest.mark.parametrize(
    ("preload", "message"),
    [('["work", "absent"]', "No module named 'absent'"), ('["work", "broken"]', "invalid syntax")],
)
def test_what_cannot_be_imported_is_told_and_commands_start_anew(warm, run, preload, message):
    where = warm(stages(), preload=preload)
    (where / "broken.py").write_text("def f(:\n")
    code, _, err = run(where, "runner.local")
    assert code == 0, err
    assert "preload: " in err
    assert message in err
    assert "start Python anew" in err
    assert ran(where) == [f"s{i} anew nothing" for i in range(5)]


def test_what_is_not_a_list_of_names_is_refused(warm, run):
    code, _, err = run(warm(stages(), preload='"work"'), "runner.local")
    assert code == 1
    assert "error: pyproject.toml, [tool.runner]: preload = 'work' is not a list" in err
