import os
import shutil
import subprocess
import sys
import time
from importlib import import_module
from multiprocessing import forkserver, get_context
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "SHELL": "/bin/sh",
    "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "DVC_NO_ANALYTICS": "1",
}  # fmt: skip
AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@t")


def start(where, *argv, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", *argv], cwd=where, env=ENVIRONMENT | variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def finished(process):
    """Return exit code, output and errors of a command that has to end."""
    try:
        out, err = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"{process.args} does not end: {process.communicate()}")
    return process.returncode, out, err


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    where = tmp_path_factory.mktemp("empty")
    subprocess.run(["git", "init", "-q"], cwd=where, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=where, check=True)
    return where


@pytest.fixture
def repository(empty, tmp_path):
    """Return a function that makes a DVC repository of the stages in a text."""

    def make(stages, name="repository", params=""):
        where = tmp_path / name
        shutil.copytree(empty, where)
        (where / "dvc.yaml").write_text(f"stages:\n{stages}")
        (where / "params.yaml").write_text(params)
        (where / "in").write_text("1\n")
        return where

    return make


@pytest.fixture
def commit():
    """Return a function that commits everything in a repository."""

    def record(where):
        subprocess.run(["git", "add", "--all"], cwd=where, check=True)
        subprocess.run(["git", *AUTHOR, "commit", "-qm", "all"], cwd=where, check=True)

    return record


@pytest.fixture
def run():
    """Return a function that runs a module and returns exit code, output and errors."""

    return lambda where, *argv: finished(start(where, *argv))


@pytest.fixture(scope="session")
def _stage_server():
    """Start what stages are forked from, once, with the imports of each of its processes."""
    get_context("forkserver").set_forkserver_preload(["pytest", "runner.stage"])
    forkserver.ensure_running()


@pytest.fixture
def call_main(monkeypatch, capsys, _stage_server):
    """Return a function like `run` that stays in this process, where DVC is imported already."""

    def finish(where, module, *argv):
        with monkeypatch.context() as context:
            context.chdir(where)
            context.setenv("SHELL", ENVIRONMENT["SHELL"])
            try:
                code = import_module(module).main(list(argv))
            except SystemExit as end:
                code = end.code
        return code, *capsys.readouterr()

    return finish


@pytest.fixture
def begin():
    """Return a function that starts a module; what still runs at the end is killed."""
    running = []

    def launch(where, *argv, **variables):
        running.append(start(where, *argv, **variables))
        return running[-1]

    yield launch
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def eventually():
    """Return a function that waits until a condition is true, and returns False at the timeout."""

    def wait(condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    return wait
